# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The statuses of the node and its cameras on /diagnostics."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from node_harness import (
    CAMERA,
    DOMAIN,
    NODE,
    QUICK_DIAGNOSTICS,
    NodeProcess,
    Vehicle,
    camera_image,
    node_here,
    stock_environment,
    values_of,
)
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tiny_model import save_tiny_model

from bisenet_ros.engines import load_engine
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.node import pipeline
from bisenet_ros.node.camera import Camera as NodeCamera
from bisenet_ros.node.diagnostics import camera_status
from bisenet_ros.node.diagnostics.missing_images import publisher_name
from bisenet_ros.node.diagnostics.problem_log import ProblemLog
from bisenet_ros.node.fastdds import profile_variable
from bisenet_ros.node.frame_statistics import STAGES

pytestmark = pytest.mark.timeout(120)

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
# A typical camera driver: best effort, large images, no shared-memory profile.
STOCK_DRIVER = """
import time
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("stock_driver")
profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
publisher = node.create_publisher(Image, "/lossy/image", profile)
message = Image(encoding="bgr8", height=1024, width=2048, step=3 * 2048)
message.data.frombytes(bytes(2048 * 1024 * 3))
while True:
    publisher.publish(message)
    time.sleep(1 / 15)
"""


def stream(vehicle: Vehicle, camera: Any, image: Image, *, rate: float, seconds: float) -> None:
    for _ in range(int(rate * seconds)):
        camera.send(image)
        vehicle.spin_until(lambda: False, 1 / rate)


def test_reasons_why_no_image_arrives(image: Image) -> None:
    """From a topic that does not exist to images that arrive, in one run of the node."""
    topic = "/front/image"
    arguments = ("-r", f"/camera/image_raw:={topic}", "-p", "reliability:=reliable")
    no_image = f"^no image on {topic}: "
    with fake_node(*arguments) as (_, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        others = vehicle.camera("/camera/image_raw"), vehicle.camera("/rear/jpeg", kind=CompressedImage)
        published = "images are published on /camera/image_raw, /rear/jpeg$"
        vehicle.wait_for_status(CAMERA, WARN, f"{no_image}nobody publishes it; {published}")
        for camera in others:
            camera.close()
        vehicle.wait_for_status(CAMERA, WARN, f"{no_image}nobody publishes it$")

        stranger = vehicle.camera(topic, kind=CameraInfo)
        vehicle.wait_for_status(
            CAMERA, WARN, f"{no_image}it is published as sensor_msgs/msg/CameraInfo, expected sensor_msgs/msg/Image$"
        )
        stranger.close()

        stranger = vehicle.camera(topic, kind=CompressedImage)
        vehicle.wait_for_status(
            CAMERA,
            WARN,
            f"{no_image}it is published as sensor_msgs/msg/CompressedImage, expected sensor_msgs/msg/Image; compressed "
            rf"images must be published on {topic}/compressed: rename \(remap\) the driver's topic$",
        )
        stranger.close()

        camera = vehicle.camera(topic, BEST_EFFORT)
        vehicle.wait_for_status(
            CAMERA,
            WARN,
            f"{no_image}the QoS of /vehicle does not match: it offers best effort, reliable is requested "
            r"\(it offers best effort, volatile\); set the parameter reliability to auto, or change qos_overrides$",
        )
        camera.close()

        camera = vehicle.camera(topic, RELIABLE)
        vehicle.wait_for_status(CAMERA, WARN, f"{no_image}/vehicle publishes it, but sends no image now$")
        camera.connect(image, masks)
        vehicle.wait_for_status(CAMERA, OK, "^segmenting; the stamps are [0-9]+ s behind the node's clock")


def test_rates_and_stage_times(image: Image) -> None:
    with fake_node("-p", "diagnostics_rate:=1.0") as (_, vehicle, engine):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        engine.seconds = 0.02
        stream(vehicle, camera, image, rate=20, seconds=3.2)
        values = values_of(vehicle.statuses(CAMERA)[-1])
        # The test itself sends a little more slowly than 20 Hz.
        assert 12 < float(values["input_hz"]) < 22 and 12 < float(values["output_hz"]) < 22, values
        times = {stage: (float(values[f"{stage}_p50_ms"]), float(values[f"{stage}_p99_ms"])) for stage in STAGES[1:-1]}
        assert all(0 <= p50 <= p99 for p50, p99 in times.values()), times
        assert times["engine"][0] >= 20
        parts = sum(times[stage][0] for stage in ("wait", "convert", "engine", "publish"))
        assert parts == pytest.approx(times["total"][0], rel=0.25), "the stages add up to the total"
        assert "receive_p50_ms" not in values, "these stamps are of another clock"
        assert "pictures_p50_ms" not in values, "nobody asks for them"
        expected = {"topic": "/camera/image_raw", "transport": "raw", "reliability": "reliable", "enabled": "true"}
        assert expected.items() <= values.items()
        image.header.stamp = vehicle.node.get_clock().now().to_msg()
        camera.send_as_it_is(image)
        status = vehicle.wait_for(
            lambda: [s for s in vehicle.statuses(CAMERA) if "receive_p50_ms" in values_of(s)], "the time from the stamp"
        )[0]
        assert 0 <= float(values_of(status)["receive_p50_ms"]) < 1000


def test_a_camera_whose_clock_is_a_little_ahead(image: Image) -> None:
    with fake_node() as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        ahead = vehicle.node.get_clock().now().nanoseconds + 900_000_000
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(ahead, 10**9)
        camera.send_as_it_is(image)
        vehicle.wait_for_status(CAMERA, OK, "^segmenting; the stamps are less than 1 s ahead of the node's clock")


def test_stamps_that_a_simulated_clock_has_not_reached_yet_are_of_the_node_s_clock(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_node() as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        vehicle.answer(masks, camera.send(image))
        monkeypatch.setattr(NodeCamera, "age", lambda camera, frame: -0.05)
        vehicle.answer(masks, camera.send(image))
        status = vehicle.wait_for_status(CAMERA, OK, "^segmenting$")
        assert float(values_of(status)["receive_p50_ms"]) >= 0


def test_a_slow_camera_has_time_for_its_next_image(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_status, "NO_IMAGE_TIMEOUT", 0.2)
    with fake_node() as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for _ in range(4):
            vehicle.answer(masks, camera.send(image))
            vehicle.spin_until(lambda: False, 0.6)
        vehicle.diagnostics.forget()
        vehicle.answer(masks, camera.send(image))
        vehicle.spin_until(lambda: False, 1.1)
        said = vehicle.statuses(CAMERA)
        assert said and all(it.level == OK and it.message.startswith("segmenting") for it in said)
        vehicle.wait_for_status(CAMERA, WARN, "^no image on /camera/image_raw")


def test_images_whose_bits_lie_at_the_low_end_are_told_once(capfd: pytest.CaptureFixture) -> None:
    with fake_node() as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        dark = camera_image(np.full((48, 64, 1), 4095, np.uint16).view(np.uint8).reshape(48, 64, 2), "mono16")
        camera.connect_any(dark, masks)
        said: List[str] = []

        def is_told() -> bool:
            vehicle.answer(masks, camera.send(dark))
            said.append(capfd.readouterr().err)
            return "images on /camera/image_raw are nearly black: of their 16 bits" in "".join(said)

        vehicle.wait_for(is_told, "why they are black")
        assert len(said) >= pipeline.MANY_DARK_IMAGES - 5, "not of one image"
        for _ in range(3):
            vehicle.answer(masks, camera.send(dark))
        assert "nearly black" not in capfd.readouterr().err


def test_a_problem_that_comes_and_goes_is_logged_once_a_minute() -> None:
    logged: List[str] = []
    node: Any = SimpleNamespace(get_logger=lambda: SimpleNamespace(warning=logged.append))
    problems = ProblemLog(node, delay=0.0)
    for _ in range(3):
        problems.update(["no image"])
        problems.update([])
    assert logged == ["no image"]


def test_building_a_plan_is_reported(image: Image) -> None:
    with fake_node() as (_, vehicle, engine):
        status = vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")
        assert status.hardware_id == values_of(status)["engine"] == "fake"
        assert "precision_reason" not in values_of(status), "nobody left the choice to it"
        engine.precision_reason = "the CPU has no VNNI"
        engine.plan = "a plan for 64x48"
        status = vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^building a plan for 64x48$")
        assert values_of(status)["precision_reason"] == "the CPU has no VNNI"
        engine.plan = ""
        vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")
        vehicle.wait_for_status(CAMERA, OK, "^waiting for the first image$|^segmenting$")


def test_images_older_than_max_age_are_an_error(image: Image) -> None:
    with fake_node("-p", "max_age:=5.0") as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")  # its stamps are of 1970
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")

        def sending() -> List[DiagnosticStatus]:
            camera.send(image)
            return [s for s in vehicle.statuses(CAMERA) if s.level == ERROR]

        status = vehicle.wait_for(sending, "an error")[0]
        assert status.message.startswith(
            "no image could be segmented: they are older than max_age by their stamps; set the"
        )
        counts = vehicle.counts()
        assert counts["published"] == 0 and counts["dropped_stale"] > 0
        # On a busy machine some are displaced before their age is checked.
        assert counts["received"] == counts["dropped_stale"] + counts["dropped_newer"]


def test_images_that_cannot_be_decoded_are_an_error(image: Image) -> None:
    with fake_node() as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        bad = camera_image(np.zeros((48, 64, 3), np.uint8), "32FC1")

        def sending() -> List[DiagnosticStatus]:
            camera.send(bad)
            return [s for s in vehicle.statuses(CAMERA) if s.level == ERROR]

        status = vehicle.wait_for(sending, "an error")[0]
        assert status.message == "no image could be segmented: skipped encoding; see the log"
        assert int(values_of(status)["skipped_encoding"]) == int(values_of(status)["skipped"]) > 0


def test_images_of_which_most_cannot_be_decoded_are_a_warning(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine of ten, as of a camera whose JPEGs lack their end."""
    monkeypatch.setattr(camera_status, "HEALTH_WINDOW", 1.0)
    with fake_node() as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        bad = camera_image(np.zeros((48, 64, 3), np.uint8), "32FC1")
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
        vehicle.diagnostics.forget()
        for number in range(40):
            camera.send(image if number % 10 == 0 else bad)
            vehicle.spin_until(lambda: False, 0.05)
        said = [(status.level, status.message) for status in vehicle.statuses(CAMERA)][-5:]
        assert set(said) == {(WARN, "not every image could be segmented: skipped encoding; see the log")}
        assert int(vehicle.counts()["published"]) > 2

        vehicle.diagnostics.forget()

        def is_past() -> bool:
            camera.send(image)
            return any(status.level == OK for status in vehicle.statuses(CAMERA))

        vehicle.wait_for(is_past, "the bad images to be past the window")


def test_images_beyond_the_publish_rate_are_none_that_could_be_segmented(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of those that are tried cannot be decoded, but a fiftieth of all."""
    monkeypatch.setattr(camera_status, "HEALTH_WINDOW", 2.0)
    with fake_node("-p", "publish_rate:=5.0") as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        bad = camera_image(np.zeros((48, 64, 3), np.uint8), "32FC1")
        camera.connect(image, vehicle.listen("/segmentation/mask", Image))
        random = np.random.default_rng(0)

        def sending() -> List[str]:
            camera.send(bad if random.random() < 1 / 4 else image)
            vehicle.spin_until(lambda: False, 0.01)
            return [status.message for status in vehicle.statuses(CAMERA) if status.level == WARN]

        for _ in range(250):  # more than the window
            sending()
        vehicle.diagnostics.forget()
        (told,) = set(vehicle.wait_for(sending, "a warning"))  # which images are tried is a matter of luck
        assert told == "not every image could be segmented: skipped encoding; see the log"


def test_images_that_are_seldom_tried_keep_their_error_until_the_next(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a low publish_rate, in most windows no image is tried."""
    monkeypatch.setattr(camera_status, "HEALTH_WINDOW", 0.3)
    with fake_node("-p", "publish_rate:=0.7") as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        bad = camera_image(np.zeros((48, 64, 3), np.uint8), "32FC1")

        def sending() -> List[DiagnosticStatus]:
            camera.send(bad)
            return [s for s in vehicle.statuses(CAMERA) if s.level == ERROR]

        vehicle.wait_for(sending, "an error")
        vehicle.diagnostics.forget()
        stream(vehicle, camera, bad, rate=20, seconds=3.5)
        assert {status.message for status in vehicle.statuses(CAMERA)} == {
            "no image could be segmented: skipped encoding; see the log"
        }
        camera.connect(image, vehicle.listen("/segmentation/mask", Image))
        vehicle.wait_for_status(CAMERA, OK, "^segmenting")
        assert vehicle.set_parameter("camera.enabled", False).successful
        vehicle.wait_for_status(CAMERA, OK, "^disabled$")


@pytest.mark.parametrize("publish_rate", (0.0, 5.0))
def test_an_engine_that_does_not_come_back_is_a_warning(
    publish_rate: float, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_status, "NO_MASK_TIMEOUT", 1.0)
    with fake_node("-p", f"publish_rate:={publish_rate}") as (_, vehicle, engine):
        camera, masks = vehicle.camera("/camera/image_raw"), vehicle.listen("/segmentation/mask", Image)
        camera.connect(image, masks)
        engine.gate.clear()
        vehicle.diagnostics.forget()

        def warnings() -> List[str]:
            camera.send(image)
            return [status.message for status in vehicle.statuses(CAMERA) if status.level == WARN]

        (told,) = set(vehicle.wait_for(warnings, "a warning"))
        assert told == "images arrive on /camera/image_raw, but none is segmented: the engine is still at work"
        engine.gate.set()
        vehicle.wait_for_status(CAMERA, OK, "^segmenting")


def test_a_camera_that_was_disabled_is_not_missed(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_status, "NO_IMAGE_TIMEOUT", 1.0)
    with fake_node() as (_, vehicle, _):
        camera, masks = vehicle.camera("/camera/image_raw"), vehicle.listen("/segmentation/mask", Image)
        camera.connect(image, masks)
        assert vehicle.set_parameter("camera.enabled", False).successful
        vehicle.wait_for_status(CAMERA, OK, "^disabled$")
        vehicle.spin_until(lambda: False, 1.5)
        vehicle.diagnostics.forget()
        assert vehicle.set_parameter("camera.enabled", True).successful
        vehicle.spin_until(lambda: False, 0.5)
        assert vehicle.statuses(CAMERA) and all(status.level == OK for status in vehicle.statuses(CAMERA))
        vehicle.wait_for_status(CAMERA, WARN, "^no image on /camera/image_raw")


def test_a_compressed_topic_named_as_the_raw_one_is_logged_with_its_remedy(vehicle: Vehicle) -> None:
    """Within 10 s of the node's start, whatever else is going on."""
    topic = "/jpeg/image/compressed"
    camera = vehicle.camera(topic, kind=CompressedImage)
    arguments = ("--ros-args", "-r", "__ns:=/jpeg", "-r", f"/camera/image_raw:={topic}")
    with NodeProcess(DOMAIN, *arguments) as process:
        vehicle.wait_for(lambda: process.matching("subscribed to"), "the node's start")
        start = time.monotonic()
        remedy = "name the topic without /compressed, /jpeg/image: the node appends that itself"
        vehicle.wait_for(lambda: process.matching(f"WARN.*no image on {topic}: .*{remedy}"), "the warning")
        assert time.monotonic() - start < 10
        status = vehicle.wait_for_status("/jpeg/segmentation_node: camera camera", WARN, remedy)
        assert int(values_of(status)["seconds_without_image"]) >= 2
    camera.close()


def test_a_publisher_whose_node_is_not_known_yet_has_no_odd_name() -> None:
    unknown = SimpleNamespace(node_name="_NODE_NAME_UNKNOWN_", node_namespace="_NODE_NAMESPACE_UNKNOWN_")
    assert publisher_name(unknown) == "a node that has not told its name yet"
    assert publisher_name(SimpleNamespace(node_name="driver", node_namespace="/")) == "/driver"
    assert publisher_name(SimpleNamespace(node_name="driver", node_namespace="/front")) == "/front/driver"


def test_two_nodes_of_the_same_name_are_a_warning(vehicle: Vehicle) -> None:
    node = "/twins/segmentation_node"
    arguments = ("--ros-args", "-r", "__ns:=/twins", "-p", "autostart:=false", *QUICK_DIAGNOSTICS)
    pattern = f"another node is also called {node}: .*`-r __ns:=/another`"
    with NodeProcess(DOMAIN, *arguments) as first:
        vehicle.wait_for_status(f"{node}: segmentation", OK, "^unconfigured$")
        with NodeProcess(DOMAIN, *arguments) as second:
            for process in (first, second):
                vehicle.wait_for(lambda process=process: process.matching(f"WARN.*{pattern}"), "its warning")
            vehicle.wait_for_status(f"{node}: segmentation", WARN, f"^unconfigured; {pattern}")
        vehicle.wait_for_status(f"{node}: segmentation", OK, "^unconfigured$")
        assert len(first.matching("WARN")) == 1, "logged once, not at every check"


def test_simulated_time_without_a_clock_is_a_warning(vehicle: Vehicle) -> None:
    node = "/simulated/segmentation_node"
    arguments = ("--ros-args", "-r", "__ns:=/simulated", "-p", "autostart:=false", *QUICK_DIAGNOSTICS)
    pattern = "use_sim_time is set, but nobody publishes /clock: .* --clock"
    with NodeProcess(DOMAIN, *arguments, "-p", "use_sim_time:=true") as process:
        vehicle.wait_for_status(f"{node}: segmentation", WARN, f"^unconfigured; {pattern}")
        vehicle.wait_for(lambda: len(process.matching(f"WARN.*{pattern}")) == 1, "its warning")
        clock = vehicle.node.create_publisher(Clock, "/clock", 10)
        vehicle.wait_for_status(f"{node}: segmentation", OK, "^unconfigured$")
        vehicle.node.destroy_publisher(clock)
        vehicle.wait_for_status(f"{node}: segmentation", WARN, pattern)
        assert vehicle.set_parameter("use_sim_time", False, node).successful
        vehicle.wait_for_status(f"{node}: segmentation", OK, "^unconfigured$")
        assert len(process.matching(f"WARN.*{pattern}")) == 1, "in a minute"


def most_are_lost(status: DiagnosticStatus) -> bool:
    values = values_of(status)
    return int(values["lost_in_transport"]) > int(values["received"])


def test_images_lost_in_transport_are_a_warning(vehicle: Vehicle) -> None:
    arguments = ("--ros-args", "-r", "__ns:=/lossy", "-r", "/camera/image_raw:=/lossy/image")
    arguments += ("-p", "network_size:=64x64")
    with NodeProcess(DOMAIN, *arguments) as process:
        node = "/lossy/segmentation_node"
        vehicle.wait_for_status(f"{node}: segmentation", OK, "^running$")
        driver = subprocess.Popen([sys.executable, "-c", STOCK_DRIVER], env=stock_environment(DOMAIN))
        try:
            status = vehicle.wait_for_status(
                f"{node}: camera camera", WARN, "^images on /lossy/image are lost in transport"
            )
            assert f"start the driver with {profile_variable()}" in status.message
            vehicle.wait_for(lambda: most_are_lost(vehicle.statuses(f"{node}: camera camera")[-1]), "most to be lost")
        finally:
            driver.kill()
            driver.wait()
        vehicle.wait_for(lambda: process.matching("WARN.*images on /lossy/image are lost in transport"), "the warning")
        assert not process.matching("Traceback"), process.output


@pytest.mark.parametrize(
    "by_the_driver, reliability, are_lost",
    (
        (True, ReliabilityPolicy.BEST_EFFORT, True),
        (True, ReliabilityPolicy.RELIABLE, False),  # as a bag is played, whose images may be throttled
        (False, ReliabilityPolicy.BEST_EFFORT, False),
    ),
)
def test_fewer_images_than_camera_infos_of_a_driver_with_best_effort_are_lost(
    by_the_driver: bool, reliability: ReliabilityPolicy, are_lost: bool, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_status, "HEALTH_WINDOW", 1.0)
    with fake_node() as (_, vehicle, _):
        camera, masks = vehicle.camera("/camera/image_raw", reliability), vehicle.listen("/segmentation/mask", Image)
        other = rclpy.create_node("calibration", context=vehicle.node.context)
        node = vehicle.node if by_the_driver else other
        infos = node.create_publisher(CameraInfo, "/camera/camera_info", 10)
        camera.connect(image, masks)
        vehicle.wait_for(lambda: vehicle.subscriptions("/camera/camera_info"), "the subscription to camera_info")
        vehicle.diagnostics.forget()

        lost = (WARN, "images on .* are lost in transport, or the driver or bag has fewer of them than of camera_info")
        level, words = lost if are_lost else (OK, "segmenting")

        def fitting() -> List[DiagnosticStatus]:
            """Statuses since there have been five times as many camera_infos as images."""
            camera.send(image)
            for _ in range(5):
                infos.publish(CameraInfo())
                vehicle.spin_until(lambda: False, 0.02)
            later = [found for found in vehicle.statuses(CAMERA) if int(values_of(found)["camera_infos"]) > 50]
            return [found for found in later if found.level == level and re.match(words, found.message)]

        vehicle.wait_for(fitting, words)
        other.destroy_node()


def test_the_network_size_is_told(card: ModelCard, image: Image, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    arguments = ("-p", f"model:={model}", "-p", "device:=cpu", "-p", "network_size:=128x96")
    with node_here(*arguments, load=load_engine) as (_, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        vehicle.counts()
        values = values_of(vehicle.statuses(CAMERA)[-1])
        assert (values["frame_size"], values["network_size"]) == ("64x48", "128x96")
        assert values_of(vehicle.statuses(f"{NODE}: segmentation")[-1])["engine"].endswith(", network size 128x96")
