# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Several cameras on one engine, raw and compressed, and the topics published for each."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Type

import cv2
import numpy as np
import pytest
from camvid_classes import CAMVID
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from node_harness import (
    DOMAIN,
    NODE,
    QUICK_DIAGNOSTICS,
    FakeEngine,
    NodeProcess,
    Vehicle,
    camera_image,
    find_answer,
    node_here,
    to_array,
    values_of,
)
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import Engine
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.images.colors import blend
from bisenet_ros.node import camera_outputs, segmentation_node
from bisenet_ros.node.image_messages import ReusedImage
from bisenet_ros.node.segmentation_node import SegmentationNode
from demo.clip import frame_ids, read_image

pytestmark = pytest.mark.timeout(120)

OK, WARN = DiagnosticStatus.OK, DiagnosticStatus.WARN
RIG = "/rig/segmentation_node"
IMAGE_TOPICS = {"front": "/wide/image", "rear": "/rear/image_raw", "left": "/left/image_raw"}
SIZES = {"front": (160, 96), "rear": (96, 64), "left": (64, 48)}
"""(width, height) of each camera's images."""
NETWORK_SIZE = "160x96"


class Rig:
    """Three cameras, of which one is remapped, and the masks of each."""

    def __init__(self, vehicle: Vehicle) -> None:
        street = read_image(frame_ids()[0])
        self.vehicle = vehicle
        self.frames = {name: cv2.resize(street, size, interpolation=cv2.INTER_AREA) for name, size in SIZES.items()}
        self.cameras = {name: vehicle.camera(topic) for name, topic in IMAGE_TOPICS.items()}
        self.masks = {name: vehicle.listen(f"/rig/{name}/mask", Image) for name in SIZES}

    def connect(self) -> None:
        for name, camera in self.cameras.items():
            camera.connect(self.image(name), self.masks[name])

    def image(self, name: str) -> Image:
        return camera_image(self.frames[name], "bgr8")

    def send(self, name: str) -> Image:
        return self.cameras[name].send(self.image(name))

    def answer(self, name: str, sent: Any) -> Image:
        return self.vehicle.answer(self.masks[name], sent)

    def listen(self, name: str, topic: str, kind: Type = Image) -> List[Any]:
        """The messages of an output topic, once the node knows of the subscription."""
        messages = self.vehicle.listen(f"/rig/{name}/{topic}", kind)
        self.cameras[name].connect_any(self.image(name), messages)
        return messages


@pytest.fixture(scope="module")
def engine() -> Engine:
    return load_engine(package_file(SHIPPED_MODEL), network_size=NETWORK_SIZE)


@pytest.fixture(scope="module")
def process(vehicle: Vehicle) -> Iterator[NodeProcess]:
    arguments = ("-r", "__ns:=/rig", "-r", f"/front/image_raw:={IMAGE_TOPICS['front']}")
    cameras = ("-p", "cameras:=[front, rear, left]", "-p", f"network_size:={NETWORK_SIZE}")
    with NodeProcess(DOMAIN, "--ros-args", *arguments, *cameras, *QUICK_DIAGNOSTICS) as process:
        yield process


@pytest.fixture(scope="module")
def rig(vehicle: Vehicle, process: NodeProcess) -> Iterator[Rig]:
    rig = Rig(vehicle)
    rig.connect()
    yield rig
    for camera in rig.cameras.values():
        camera.close()


def test_each_camera_has_its_own_masks_headers_and_counts(vehicle: Vehicle, rig: Rig, engine: Engine) -> None:
    before = {name: vehicle.counts(RIG, camera=name) for name in SIZES}
    rounds = {"front": 3, "rear": 2, "left": 1}
    for turn in range(3):
        sent = {name: rig.send(name) for name, times in rounds.items() if turn < times}
        for name, image in sent.items():
            mask = rig.answer(name, image)
            assert mask.header == image.header and (mask.width, mask.height) == SIZES[name]
            np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(rig.frames[name]))
    for name, times in rounds.items():
        after = vehicle.counts(RIG, camera=name)
        assert after["received"] - before[name]["received"] == after["published"] - before[name]["published"] == times


def test_remapped_camera_keeps_its_name(vehicle: Vehicle, rig: Rig) -> None:
    for topic in ("/wide/image", "/wide/camera_info"):
        vehicle.wait_for_subscriptions(topic, 1)
    assert not vehicle.subscriptions("/front/image_raw")
    status = vehicle.statuses(f"{RIG}: camera front")[-1]
    assert values_of(status)["topic"] == "/wide/image" and status.hardware_id == "front"


def test_camera_is_disabled_and_enabled_while_others_run(vehicle: Vehicle, rig: Rig) -> None:
    assert vehicle.set_parameter("rear.enabled", False, RIG).successful
    vehicle.wait_for(lambda: not vehicle.subscriptions(IMAGE_TOPICS["rear"]), "the subscription to end")
    vehicle.wait_for_status(f"{RIG}: camera rear", OK, "^disabled$")
    rig.answer("front", rig.send("front"))
    assert vehicle.set_parameter("rear.enabled", True, RIG).successful
    rig.connect()


def test_confidence_color_mask_and_overlay(vehicle: Vehicle, rig: Rig, engine: Engine) -> None:
    topics = {topic: rig.listen("left", topic) for topic in ("confidence", "color_mask", "overlay")}
    frame, colors = rig.frames["left"], engine.card.classes.color_table()
    mask, confidence = engine.segment(frame, confidence=True)
    for opacity in (0.5, 1, 0.0):
        assert vehicle.set_parameter("overlay_opacity", opacity, RIG).successful
        sent = rig.send("left")
        answers = {topic: vehicle.answer(messages, sent) for topic, messages in topics.items()}
        assert all(answer.header == sent.header for answer in answers.values())
        assert {topic: answer.encoding for topic, answer in answers.items()} == {
            "confidence": "mono8",
            "color_mask": "rgb8",
            "overlay": "bgr8",
        }
        np.testing.assert_array_equal(to_array(answers["confidence"])[:, :, 0], confidence)
        np.testing.assert_array_equal(to_array(answers["color_mask"]), colors[mask])
        np.testing.assert_array_equal(to_array(answers["overlay"]), blend(frame, mask, colors, opacity=opacity))
    assert not vehicle.set_parameter("overlay_opacity", 1.5, RIG).successful


def test_camera_info_has_the_masks_header(vehicle: Vehicle, rig: Rig) -> None:
    infos = vehicle.listen("/rig/rear/camera_info", CameraInfo)
    publisher = vehicle.camera("/rear/camera_info", kind=CameraInfo)
    vehicle.wait_for(lambda: vehicle.subscriptions("/rear/camera_info"), "the node's subscription")
    info = CameraInfo(width=96, height=64, distortion_model="plumb_bob", k=[70.0, 0.0, 48.0, 0.0, 70.0, 32.0, 0, 0, 1])

    def repeated() -> List[CameraInfo]:
        publisher.send(info)
        sent = rig.send("rear")
        rig.answer("rear", sent)
        return vehicle.spin_until(lambda: [info for info in infos if info.header == sent.header], 0.2)

    (found,) = vehicle.wait_for(repeated, "the camera_info of a mask")
    assert (found.width, found.height, found.distortion_model) == (96, 64, "plumb_bob")
    np.testing.assert_array_equal(found.k, info.k)
    publisher.close()


def test_camera_info_is_the_one_of_the_images_stamp(image: Image) -> None:
    """Also where the driver has sent another since: after a change of its resolution, for example."""
    engine = FakeEngine()
    with fake_node(engine=engine) as (_, vehicle, _):
        infos = vehicle.listen("/segmentation/camera_info", CameraInfo)
        camera, publisher = vehicle.camera("/camera/image_raw"), vehicle.camera("/camera/camera_info", kind=CameraInfo)
        vehicle.wait_for(lambda: vehicle.subscriptions("/camera/camera_info"), "the node's subscription")
        camera.connect(image, vehicle.listen("/segmentation/mask", Image))
        taken = len(engine.batches)
        engine.gate.clear()
        stamp = camera.send(image).header.stamp
        vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take the frame")
        for width, seconds in ((64, 0), (128, 1)):
            info = CameraInfo(width=width)
            info.header.stamp.sec, info.header.stamp.nanosec = stamp.sec + seconds, stamp.nanosec
            publisher.send_as_it_is(info)
            vehicle.spin_until(lambda: False, 0.3)
        engine.gate.set()
        (found,) = vehicle.wait_for(lambda: [info for info in infos if info.header.stamp == stamp], "the camera_info")
        assert found.width == 64


def compressed(frame: np.ndarray, suffix: str) -> CompressedImage:
    done, data = cv2.imencode(f".{suffix}", frame)
    assert done
    message = CompressedImage(format=suffix)
    message.data.frombytes(data.tobytes())
    return message


def test_driver_may_change_to_compressed_and_a_truncated_image_is_skipped(
    vehicle: Vehicle, rig: Rig, process: NodeProcess, engine: Engine
) -> None:
    rig.cameras["rear"].close()
    topic = f"{IMAGE_TOPICS['rear']}/compressed"
    camera = vehicle.camera(topic, kind=CompressedImage)
    frame, masks = rig.frames["rear"], rig.masks["rear"]
    camera.connect(compressed(frame, "png"), masks)
    vehicle.wait_for(lambda: not vehicle.subscriptions(IMAGE_TOPICS["rear"]), "the raw subscription to end")
    for suffix in ("png", "jpg"):
        message = compressed(frame, suffix)
        mask = rig.answer("rear", camera.send(message))
        picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        np.testing.assert_array_equal(to_array(mask)[:, :, 0], engine.segment(picture))

    before = vehicle.counts(RIG, camera="rear")
    short = compressed(frame, "jpg")
    del short.data[len(short.data) // 2 :]
    cut = camera.send(short)
    vehicle.wait_for(lambda: process.matching(f"skipped an image of {topic}: "), "a warning")
    rig.answer("rear", camera.send(compressed(frame, "jpg")))
    after = vehicle.counts(RIG, camera="rear")
    assert (after["skipped"] - before["skipped"], after["published"] - before["published"]) == (1, 1)
    values = values_of(vehicle.statuses(f"{RIG}: camera rear")[-1])
    assert values["skipped_data"] == "1" and values["transport"] == "compressed"
    assert find_answer(masks, cut.header) is None

    rig.cameras["rear"] = vehicle.camera(IMAGE_TOPICS["rear"])  # raw has precedence
    rig.connect()
    vehicle.wait_for(lambda: not vehicle.subscriptions(topic), "the compressed subscription to end")
    camera.close()


def test_shared_node_logged_no_error(process: NodeProcess, rig: Rig) -> None:
    assert process.is_running() and not process.matching("Traceback|ERROR"), process.output


# With a fake engine


def test_two_cameras_with_swapped_topics() -> None:
    arguments = ("-p", "cameras:=[left, right]", "-r", "/left/image_raw:=/right/image_raw")
    arguments += ("-r", "/right/image_raw:=/left/image_raw")
    image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    with fake_node(*arguments) as (node, vehicle, _):
        masks = vehicle.listen("/segmentation/left/mask", Image)
        vehicle.camera("/right/image_raw").connect(image, masks)
        status = vehicle.wait_for_status(f"{NODE}: camera right", WARN, "no image on /left/image_raw")
        assert "nobody publishes it" in status.message


def test_frames_under_way_are_dropped_when_their_camera_is_disabled() -> None:
    engine, image = FakeEngine(), camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    with fake_node(engine=engine) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        before, batches = vehicle.counts(), len(engine.batches)
        engine.gate.clear()
        camera.send(image)
        vehicle.wait_for(lambda: len(engine.batches) > batches, "the engine to have the frame")
        assert vehicle.set_parameter("camera.enabled", False).successful
        engine.gate.set()
        counts = vehicle.counts()
        assert counts["dropped_inactive"] == before["dropped_inactive"] + 1
        assert counts["published"] == before["published"]


def test_a_calibration_is_forgotten_when_its_camera_is_disabled() -> None:
    """It may come back in front of another lens."""
    image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    with fake_node() as (_, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        heard = vehicle.listen("/segmentation/camera_info", CameraInfo)
        camera, infos = vehicle.camera("/camera/image_raw"), vehicle.camera("/camera/camera_info", kind=CameraInfo)
        camera.connect(image, masks)
        infos.send(CameraInfo(width=64, height=48))
        for _ in range(2):  # what came with the mask before has come by then
            vehicle.answer(masks, camera.send(image))
        assert heard
        infos.close()
        assert vehicle.set_parameter("camera.enabled", False).successful
        vehicle.wait_for(lambda: not vehicle.subscriptions(camera.topic), "the subscription to end")
        heard.clear()
        assert vehicle.set_parameter("camera.enabled", True).successful
        camera.connect(image, masks)
        vehicle.answer(masks, camera.send(image))
        assert not heard


def test_two_nodes_of_one_process() -> None:
    image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    with fake_node() as (node, vehicle, _):
        options = {"namespace": "second", "parameter_overrides": [Parameter("cameras", value=["left"])]}
        second = SegmentationNode(load=lambda *_, **__: FakeEngine(), **options)
        second.autostart()
        node.executor.add_node(second)
        for camera, mask in (("camera", "/segmentation/mask"), ("left", "/second/mask")):
            vehicle.camera(f"/{camera}/image_raw").connect(image, vehicle.listen(mask, Image))
        node.executor.remove_node(second)
        assert second.close()
        second.destroy_node()


def test_cameras_of_one_namespace_have_the_calibrations_that_they_are_remapped_to() -> None:
    image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    rules = [
        f"/{side}/{name}" for side in ("left", "right") for name in ("image_raw:=/stereo/{0}", "camera_info:=/{0}")
    ]
    arguments = [word for rule in rules for word in ("-r", rule.format(rule.split("/")[1]))]
    with fake_node(*arguments, "-p", "cameras:=[left, right]") as (_, vehicle, _):
        for side, width in (("left", 64), ("right", 32)):
            masks = vehicle.listen(f"/segmentation/{side}/mask", Image)
            heard = vehicle.listen(f"/segmentation/{side}/camera_info", CameraInfo)
            camera, infos = vehicle.camera(f"/stereo/{side}"), vehicle.camera(f"/{side}", kind=CameraInfo)
            camera.connect(image, masks)
            infos.send(CameraInfo(width=width, height=48))
            for _ in range(2):  # what came with the mask before has come by then
                vehicle.answer(masks, camera.send(image))
            assert heard and heard[-1].width == width
        assert not vehicle.subscriptions("/stereo/camera_info")


def test_compressed_images_may_have_a_topic_of_their_own() -> None:
    rules = ("-r", "/camera/image_raw:=/raw", "-r", "/camera/image_raw/compressed:=/packed")
    with fake_node(*rules, "-p", "transport:=compressed") as (_, vehicle, _):
        vehicle.wait_for(lambda: vehicle.subscriptions("/packed"), "the subscription")
        assert not vehicle.subscriptions("/raw/compressed")


def test_in_the_cameras_namespace_its_camera_info_is_not_doubled() -> None:
    image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
    with fake_node("-r", "__ns:=/", "-p", "cameras:=[front, rear]") as (_, vehicle, _):
        masks, heard = vehicle.listen("/front/mask", Image), vehicle.listen("/front/camera_info", CameraInfo)
        camera, infos = vehicle.camera("/front/image_raw"), vehicle.camera("/front/camera_info", kind=CameraInfo)
        camera.connect(image, masks)
        sent = [infos.send(CameraInfo(width=64, height=48)).header.stamp.sec for _ in range(3)]
        vehicle.answer(masks, camera.send(image))
        vehicle.answer(masks, camera.send(image))  # what came with the mask before has come by now
        assert [info.header.stamp.sec for info in heard] == sent


@pytest.mark.parametrize(
    "transport, kind, topic",
    (("raw", Image, "/camera/image_raw"), ("compressed", CompressedImage, "/camera/image_raw/compressed")),
)
def test_transport_parameter_fixes_the_subscription(transport: str, kind: Type, topic: str) -> None:
    frame = np.full((48, 64, 3), 7, np.uint8)
    with fake_node("-p", f"transport:={transport}") as (node, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        messages = {Image: camera_image(frame, "bgr8"), CompressedImage: compressed(frame, "png")}
        topics = {Image: "/camera/image_raw", CompressedImage: "/camera/image_raw/compressed"}
        cameras = {kind: vehicle.camera(topic, kind=kind) for kind, topic in topics.items()}
        cameras[kind].connect(messages[kind], masks)
        vehicle.spin_until(lambda: False, 2 * segmentation_node.UPDATE_PERIOD)
        assert {name for name in topics.values() if vehicle.subscriptions(name)} == {topic}


def test_slow_camera_loses_no_frame_beside_a_fast_one() -> None:
    engine, frame = FakeEngine(), np.zeros((48, 64, 3), np.uint8)
    with fake_node("-p", "cameras:=[fast, slow]", engine=engine) as (node, vehicle, _):
        masks = {name: vehicle.listen(f"/segmentation/{name}/mask", Image) for name in ("fast", "slow")}
        cameras = {name: vehicle.camera(f"/{name}/image_raw") for name in masks}
        for name, camera in cameras.items():
            camera.connect(camera_image(frame, "bgr8"), masks[name])
        before = {name: vehicle.counts(camera=name) for name in masks}
        engine.seconds = 0.08  # 12 Hz, of 53 that are sent
        image, sent = camera_image(frame, "bgr8"), []
        for tick in range(150):
            cameras["fast"].send(image)
            if tick % 16 == 0:
                sent.append(cameras["slow"].send(image).header.stamp.sec)
            vehicle.spin_until(lambda: False, 0.02)
        fast, slow = (vehicle.counts(camera=name) for name in ("fast", "slow"))
        assert slow["published"] - before["slow"]["published"] == len(sent)
        assert set(sent) <= {mask.header.stamp.sec for mask in masks["slow"]}
        assert fast["dropped_newer"] > 30, "the fast camera sends more than the engine can segment"
        assert fast["published"] - before["fast"]["published"] > 2 * len(sent), (
            "the fast camera gets the remaining engine time"
        )


def test_waiting_frames_of_one_size_make_one_batch() -> None:
    engine = FakeEngine(max_batch=3)
    names, sizes = ("a", "b", "c", "d"), {"a": 64, "b": 64, "c": 64, "d": 32}
    asked: Dict[str, Any] = {}

    def load(*_: Any, **options: Any) -> FakeEngine:
        asked.update(options)
        return engine

    with node_here("-p", f"cameras:=[{', '.join(names)}]", load=load) as (node, vehicle):
        masks = {name: vehicle.listen(f"/segmentation/{name}/mask", Image) for name in names}
        cameras = {name: vehicle.camera(f"/{name}/image_raw") for name in names}
        images = {
            name: camera_image(np.full((48, sizes[name], 3), value, np.uint8), "bgr8")
            for value, name in enumerate(names)
        }
        for name, camera in cameras.items():
            camera.connect(images[name], masks[name])
        assert asked["max_batch"] == len(names)
        del engine.batches[:]
        engine.gate.clear()
        first = cameras["d"].send(images["d"])  # keeps the engine busy while the others wait
        vehicle.wait_for(lambda: engine.batches, "the engine to take the first")
        sent = {name: cameras[name].send(images[name]) for name in ("a", "b", "c")}
        vehicle.wait_for(lambda: len(node._pipeline._frames._waiting) == 3, "the others to wait")
        engine.gate.set()
        vehicle.answer(masks["d"], first)
        for value, (name, image) in enumerate(sent.items()):
            mask = vehicle.answer(masks[name], image)
            assert mask.header == image.header and set(mask.data) == {value}
        assert engine.batches == [1, 3]


def test_failure_to_publish_is_counted_and_the_next_frame_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example out of memory: the image still has an outcome, and only its own messages are missing."""
    with fake_node() as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        overlays = vehicle.listen("/segmentation/overlay", Image)
        image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
        camera.connect(image, masks)
        camera.connect(image, overlays)
        before = vehicle.counts()

        def no_memory(*_: Any, **__: Any) -> Any:
            raise MemoryError("out of memory")

        with monkeypatch.context() as patch:
            patch.setattr(ReusedImage, "filled", no_memory)
            camera.send(image)
            vehicle.wait_for(lambda: vehicle.counts()["failed"] == 1, "the failure to be counted")
        with monkeypatch.context() as patch:
            patch.setattr(camera_outputs, "blend", no_memory)
            vehicle.answer(masks, camera.send(image))  # only the overlay is missing
        vehicle.answer(overlays, camera.send(image))
        after = vehicle.counts()
        assert {event: after[event] - before[event] for event in ("received", "published", "failed")} == {
            "received": 3,
            "published": 2,
            "failed": 1,
        }


def test_label_info_reaches_late_subscribers() -> None:
    vision_msgs = pytest.importorskip("vision_msgs.msg")
    with fake_node() as (node, vehicle, _):
        infos: List[Any] = []
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        vehicle.node.create_subscription(vision_msgs.LabelInfo, "/segmentation/label_info", infos.append, latched)
        (info,) = vehicle.wait_for(lambda: infos, "label_info")
        assert [(entry.class_id, entry.class_name) for entry in info.class_map] == list(enumerate(CAMVID.names))
