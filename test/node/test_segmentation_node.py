# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, with real messages over Fast DDS and the shipped model."""

from __future__ import annotations

import re
import signal
import time
from typing import Any, Dict, Iterator, List, Tuple

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from node_harness import (
    CAMERA,
    DOMAIN,
    NODE,
    QUICK_DIAGNOSTICS,
    Camera,
    NodeProcess,
    Vehicle,
    camera_image,
    find_answer,
    to_array,
)
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import Engine
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.node import pipeline
from bisenet_ros.node.parameter_definitions import DEFINITIONS
from bisenet_ros.node.segmentation_node import UPDATE_PERIOD
from demo.clip import frame_ids, read_image

pytestmark = pytest.mark.timeout(120)

MODEL = package_file(SHIPPED_MODEL)
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
NETWORK_SIZE = "320x240"
"""A quarter of the default, which the demo's test runs with."""
# One node is shared by most of these tests.


@pytest.fixture(scope="session")
def engine() -> Engine:
    return load_engine(MODEL, network_size=NETWORK_SIZE)


@pytest.fixture(scope="session")
def node(vehicle: Vehicle) -> Iterator[NodeProcess]:
    with NodeProcess(DOMAIN, "--ros-args", "-p", f"network_size:={NETWORK_SIZE}", *QUICK_DIAGNOSTICS) as process:
        yield process


@pytest.fixture(scope="session")
def masks(vehicle: Vehicle) -> List[Image]:
    return vehicle.listen("/segmentation/mask", Image)


@pytest.fixture(scope="session")
def color_masks(vehicle: Vehicle) -> List[Image]:
    return vehicle.listen("/segmentation/color_mask", Image)


@pytest.fixture(scope="session")
def camera(
    vehicle: Vehicle, node: NodeProcess, masks: List[Image], color_masks: List[Image], frame: np.ndarray
) -> Camera:
    camera = vehicle.camera("/camera/image_raw")
    camera.connect(camera_image(frame, "bgr8"), masks)
    return camera


@pytest.fixture(scope="session")
def frame() -> np.ndarray:
    """A street, 231 x 309 pixels: small for speed, odd so that the rows' length is no power of two."""
    return cv2.resize(read_image(frame_ids()[0]), (309, 231), interpolation=cv2.INTER_AREA)


# Output topics


def test_mask_equals_the_engines_and_has_the_image_header(
    vehicle: Vehicle, camera: Camera, masks: List[Image], engine: Engine
) -> None:
    frame = read_image(frame_ids()[5])
    sent = camera.send(camera_image(frame, "bgr8"))
    mask = vehicle.answer(masks, sent)
    assert mask.encoding == "mono8"
    assert mask.header == sent.header and mask.header.frame_id == "front_camera"
    assert (mask.width, mask.height, mask.step) == (480, 360, 480)
    assert len(mask.data) == 480 * 360
    expected = engine.segment(frame)
    assert len(np.unique(expected)) > 4, "the frame has too few classes for a comparison"
    np.testing.assert_array_equal(to_array(mask)[:, :, 0], expected)


def test_color_mask_is_the_mask_in_the_class_colors(
    vehicle: Vehicle, camera: Camera, masks: List[Image], color_masks: List[Image], engine: Engine, frame: np.ndarray
) -> None:
    sent = camera.send(camera_image(frame, "bgr8"))
    mask, color_mask = vehicle.answer(masks, sent), vehicle.answer(color_masks, sent)
    assert color_mask.encoding == "rgb8"
    assert color_mask.header == sent.header
    assert (color_mask.width, color_mask.height, color_mask.step) == (309, 231, 3 * 309)
    colors = np.array([entry.color for entry in engine.card.classes], np.uint8)
    np.testing.assert_array_equal(to_array(color_mask), colors[to_array(mask)[:, :, 0]])


# Input images


def as_encoding(frame: np.ndarray, encoding: str) -> Tuple[np.ndarray, np.ndarray]:
    """The pixels of a frame in an encoding, and the BGR frame that they decode to."""
    alpha = np.random.default_rng(3).integers(0, 256, (*frame.shape[:2], 1), np.uint8)
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    return {
        "bgr8": (frame, frame),
        "rgb8": (frame[:, :, ::-1], frame),
        "bgra8": (np.dstack((frame, alpha)), frame),
        "rgba8": (np.dstack((frame[:, :, ::-1], alpha)), frame),
        "mono8": (gray, np.dstack((gray, gray, gray))),
    }[encoding]


@pytest.mark.parametrize("encoding, padding", [("bgr8", 13), ("mono8", 0)])
def test_encodings_with_and_without_padded_rows(
    encoding: str,
    padding: int,
    vehicle: Vehicle,
    camera: Camera,
    masks: List[Image],
    engine: Engine,
    frame: np.ndarray,
) -> None:
    pixels, bgr = as_encoding(frame, encoding)
    mask = vehicle.answer(masks, camera.send(camera_image(pixels, encoding, padding=padding)))
    assert (mask.width, mask.height, mask.step) == (309, 231, 309)
    np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(bgr))


def test_size_and_encoding_may_change_with_every_frame(
    vehicle: Vehicle, camera: Camera, masks: List[Image], engine: Engine, frame: np.ndarray
) -> None:
    before = vehicle.counts()
    sequence = (
        ((309, 231), "bgr8"),
        ((200, 100), "rgb8"),
        ((1, 1), "mono8"),
        ((640, 64), "bgra8"),
        ((309, 231), "bgr8"),
    )
    for (width, height), encoding in sequence:
        pixels, bgr = as_encoding(cv2.resize(frame, (width, height)), encoding)
        mask = vehicle.answer(masks, camera.send(camera_image(pixels, encoding)))
        assert (mask.width, mask.height) == (width, height)
        np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(bgr))
    after = vehicle.counts()
    assert after["published"] - before["published"] == len(sequence)
    assert after["received"] - before["received"] == len(sequence)


def test_diagnostics_warn_while_the_camera_sends_nothing(
    vehicle: Vehicle, camera: Camera, masks: List[Image], frame: np.ndarray
) -> None:
    """Before the tests with invalid images, which are a warning too."""
    no_image = "no image on /camera/image_raw: /vehicle publishes it, but sends no image now"
    vehicle.wait_for_status(CAMERA, DiagnosticStatus.WARN, no_image)
    vehicle.diagnostics.forget()

    def is_segmenting() -> bool:
        vehicle.answer(masks, camera.send(camera_image(frame, "bgr8")))
        return any(status.level == DiagnosticStatus.OK for status in vehicle.statuses(CAMERA))

    vehicle.wait_for(is_segmenting, "the images to be noticed")
    vehicle.wait_for_status(CAMERA, DiagnosticStatus.WARN, no_image)


def bad_image(frame: np.ndarray, **changes: Any) -> Image:
    """An image message of the frame, with some of its fields set to contradictory values."""
    message = camera_image(frame, "bgr8")
    if "bytes" in changes:
        del message.data[changes.pop("bytes") :]
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def wait_for_log_throttle(reason: str, vehicle: Vehicle, node: NodeProcess) -> None:
    """Waits until the node may log this reason again, LOG_PERIOD after its last line that begins alike."""
    lines = node.matching("skipped an image of /camera/image_raw: " + " ".join(reason.split()[:3]))
    times = [float(re.search(r"\[WARN\] \[([\d.]+)\]", line)[1]) for line in lines]
    vehicle.wait_for(lambda: not times or time.time() > times[-1] + pipeline.LOG_PERIOD, "the log's period to pass")


@pytest.mark.parametrize(
    "changes, reason",
    (
        ({"bytes": 214136}, r"expected 214137 bytes \(231 rows of 927\), got 214136"),
        ({"step": 926}, r"expected a step of at least 927 bytes \(309 pixels of bgr8\), got 926"),
        ({"width": 0, "height": 0, "step": 0, "bytes": 0}, "expected an image with pixels, got 0 x 0"),
        ({"encoding": "32FC1"}, "expected an encoding of .*bgr8.*, got '32FC1'.*"),
    ),
    ids=("truncated data", "step below a row", "zero size", "unknown encoding"),
)
def test_invalid_image_is_skipped_counted_and_logged(
    changes: Dict[str, Any],
    reason: str,
    vehicle: Vehicle,
    node: NodeProcess,
    camera: Camera,
    masks: List[Image],
    engine: Engine,
    frame: np.ndarray,
) -> None:
    before, warnings = vehicle.counts(), len(node.matching("WARN"))
    wait_for_log_throttle(reason, vehicle, node)
    bad = camera.send(bad_image(frame, **changes))
    vehicle.wait_for(lambda: len(node.matching("WARN")) > warnings, "a warning")
    good = camera.send(camera_image(frame, "bgr8"))
    mask = vehicle.answer(masks, good)
    np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(frame))
    lines = node.matching("WARN")[warnings:]
    assert len(lines) == 1 and re.search(f"skipped an image of /camera/image_raw: {reason}$", lines[0]), lines
    after = vehicle.counts()
    change = {event: after[event] - before[event] for event in after if after[event] != before[event]}
    assert change == {"received": 2, "published": 1, "skipped": 1}
    assert find_answer(masks, bad.header) is None
    assert node.is_running()


def test_many_invalid_images_give_few_log_lines(
    vehicle: Vehicle, node: NodeProcess, camera: Camera, masks: List[Image], frame: np.ndarray
) -> None:
    skipped, warnings, start = vehicle.counts()["skipped"], len(node.matching("WARN")), time.monotonic()
    for _ in range(50):
        camera.send(bad_image(frame, step=1))
        vehicle.spin_until(lambda: False, 0.01)
    vehicle.answer(masks, camera.send(camera_image(frame, "bgr8")))
    periods = (time.monotonic() - start) / pipeline.LOG_PERIOD
    assert vehicle.counts()["skipped"] - skipped > 10
    assert len(node.matching("WARN")) - warnings <= 1 + periods


def test_newest_frame_wins(
    vehicle: Vehicle, camera: Camera, masks: List[Image], engine: Engine, frame: np.ndarray
) -> None:
    before = vehicle.counts()
    del masks[:]
    count = 60
    burst = [camera_image(read_image(frame_ids()[i % 2]), "bgr8") for i in range(count - 1)]
    for message in burst:
        camera.send(message)
    last = camera.send(camera_image(frame, "bgr8"))
    mask = vehicle.answer(masks, last)
    np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(frame))
    after = vehicle.counts()
    change = {event: after[event] - before[event] for event in after}
    # counts() waits until every frame received has its outcome.
    assert change["published"] == len(masks) < change["received"] <= count
    assert change["dropped"] > 0 and change["skipped"] == change["failed"] == 0
    stamps = [message.header.stamp.sec for message in masks]
    assert stamps == sorted(set(stamps)), "the mask of an older frame came after that of a newer one"


# Parameters and QoS


def test_parameters_have_descriptions_and_constraints(vehicle: Vehicle, node: NodeProcess) -> None:
    names = vehicle.call(ListParameters, f"{NODE}/list_parameters", ListParameters.Request()).result.names
    assert {definition.name for definition in DEFINITIONS} | {"camera.enabled"} <= set(names)
    own = [name for name in names if name not in ("use_sim_time", "start_type_description_service")]
    request = DescribeParameters.Request(names=[name for name in own if not name.startswith("qos_overrides.")])
    descriptors = vehicle.call(DescribeParameters, f"{NODE}/describe_parameters", request).descriptors
    by_name = {descriptor.name: descriptor for descriptor in descriptors}
    assert all(descriptor.description for descriptor in descriptors)
    changes = " Can be changed while the node is unconfigured."
    expected = {
        "device": f"Must be one of auto, cpu, cuda.{changes}",
        "cameras": f"Must be a list of different names (letters, digits, _).{changes}",
        "grid.x": f"Must be a list of a smaller and a larger number.{changes}",
        "max_age": "Must be a number from 0 to 3600.",
        "camera.enabled": "Must be true or false.",
    }
    assert {name: by_name[name].additional_constraints for name in expected} == expected
    assert by_name["diagnostics_rate"].read_only
    rate = by_name["diagnostics_rate"].floating_point_range[0]
    assert (rate.from_value, rate.to_value) == (0.1, 10.0)


@pytest.mark.parametrize(
    "name, value, reason",
    (
        ("precision", "fp32", "parameter precision is read when the node is configured; deactivate and clean it up"),
        ("precision", "fp99", "parameter precision must be one of auto, "),
        ("cameras", "front", "parameter cameras must be a list of different names (letters, digits, _), got 'front'"),
        ("model", 5, "parameter model must be a string, got 5"),
        ("diagnostics_rate", 2.0, "read-only"),
        ("class_names", ["road"], "parameter class_names is read-only: the node sets it from the model file"),
        ("max_age", -1.0, "Parameter max_age out of range Min: 0.0, Max: 3600.0"),
        ("overlay_opacity", "half", "parameter overlay_opacity must be a number from 0 to 1, got 'half'"),
    ),
)
def test_invalid_or_locked_parameter_is_refused_with_a_reason(
    name: str, value: Any, reason: str, vehicle: Vehicle, node: NodeProcess, camera: Camera
) -> None:
    result = vehicle.set_parameter(name, value)
    assert not result.successful and reason in result.reason


def test_class_names_parameter(vehicle: Vehicle, node: NodeProcess, camera: Camera, engine: Engine) -> None:
    answer = vehicle.call(GetParameters, f"{NODE}/get_parameters", GetParameters.Request(names=["class_names"]))
    assert answer.values[0].string_array_value == engine.card.classes.names


def test_subscription_adapts_to_the_reliability_of_a_remapped_camera(image: Image) -> None:
    with fake_node("-r", "/camera/image_raw:=/front/image") as (_, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        for reliability in (RELIABLE, BEST_EFFORT, RELIABLE):  # a driver that goes away and comes back with another
            camera = vehicle.camera("/front/image", reliability)
            camera.connect(image, masks)  # waits for a subscription of that reliability
            mask = vehicle.answer(masks, camera.send(image))
            np.testing.assert_array_equal(to_array(mask)[:, :, 0], to_array(image)[:, :, 0])
            camera.close()
        counts = vehicle.counts()
        assert counts["published"] >= 6 and counts["skipped"] == counts["failed"] == 0
        # Of a best-effort and a reliable camera, a best-effort subscription receives both.
        both = vehicle.camera("/front/image", RELIABLE), vehicle.camera("/front/image", BEST_EFFORT)
        vehicle.wait_for(lambda: vehicle.subscriptions("/front/image") == [BEST_EFFORT], "best effort for both")
        for camera in both:
            camera.connect_any(image, masks)
            camera.close()


def test_a_subscription_stays_reliable_while_its_driver_restarts(image: Image) -> None:
    with fake_node() as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw", RELIABLE)
        camera.connect(image, masks)
        camera.close()
        vehicle.wait_for_status(f"{NODE}: camera camera", DiagnosticStatus.WARN, "nobody publishes it")
        vehicle.spin_until(lambda: False, 4 * UPDATE_PERIOD)
        assert vehicle.subscriptions(camera.topic) == [RELIABLE]


@pytest.mark.parametrize("reliability", (RELIABLE, BEST_EFFORT), ids=lambda policy: policy.name)
def test_reliability_parameter_fixes_the_subscription(reliability: ReliabilityPolicy, image: Image) -> None:
    with fake_node("-p", f"reliability:={reliability.name.lower()}") as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw", RELIABLE)
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
        camera.connect_any(image, masks)
        assert vehicle.subscriptions(camera.topic) == [reliability]


# Shutdown


def test_shared_node_logged_no_error_and_exits_cleanly(node: NodeProcess, camera: Camera) -> None:
    """The last test in this file: it ends the node that the others share."""
    assert node.is_running()
    node.send(signal.SIGINT)
    assert node.wait() == 0
    assert not node.matching("Traceback|ERROR|FATAL"), node.output
