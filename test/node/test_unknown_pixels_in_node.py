# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters min_confidence, warn_confidence and NAME.ignore_mask, over Fast DDS.

The fake engine's mask is a frame's first channel, its confidence the second.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import numpy as np
import pytest
from camvid_classes import CAMVID
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from nav_msgs.msg import OccupancyGrid
from node_harness import CAMERA, NODE, FakeEngine, Vehicle, camera_image, node_here, to_array, values_of
from PIL import Image as Picture
from sensor_msgs.msg import CameraInfo, Image
from std_srvs.srv import SetBool
from street_camera import POSE, camera_info, street
from tiny_model import save_tiny_model

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.engines.softmax import cell_confidence
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.node import camera_confidence
from bisenet_ros.node.camera_confidence import PERIOD, WINDOW, CameraConfidence

pytestmark = pytest.mark.timeout(60)

SIZE = HEIGHT, WIDTH = 48, 64
HOOD = np.zeros(SIZE, bool)
HOOD[36:] = True
PIXELS = np.random.default_rng(0).integers(0, len(CAMVID), (*SIZE, 3), np.uint8)
PIXELS[:, :, 1] = np.arange(WIDTH) * 4
"""The confidence grows to the right."""


CLASSES = {"left": 1, "right": 2}


class WatchedEngine(FakeEngine):
    """Notes of each batch whether its confidence was asked for; has logits where they are given."""

    def __init__(self, *, max_batch: int = 1, logits: Optional[np.ndarray] = None) -> None:
        super().__init__(max_batch=max_batch)
        self.asked: List[bool] = []
        self.logits = logits

    def last_logits(self) -> Optional[np.ndarray]:
        return self.logits

    def _segment_batch(self, frames: Any, *, confidence: bool) -> List[Segmentation]:
        self.asked.append(confidence)
        return super()._segment_batch(frames, confidence=confidence)


@pytest.fixture
def hood(tmp_path: Path) -> Path:
    path = tmp_path / "hood.png"
    Picture.fromarray(HOOD).save(path)
    return path


def test_unknown_pixels_are_so_on_every_topic(hood: Path) -> None:
    with fake_node("-p", f"camera.ignore_mask:={hood}") as (_, vehicle, _):
        topics = ("mask", "confidence", "color_mask", "overlay")
        messages = {topic: vehicle.listen(f"/segmentation/{topic}", Image) for topic in topics}
        camera, image = vehicle.camera("/camera/image_raw"), camera_image(PIXELS, "bgr8")
        for topic in topics:
            camera.connect(image, messages[topic])

        def answers() -> Dict[str, np.ndarray]:
            sent = camera.send(image)
            return {topic: to_array(vehicle.answer(messages[topic], sent)) for topic in topics}

        table, certain = CAMVID.color_table(), PIXELS[:, :, 1]
        for least in (0.0, 0.5, 1.0, 0.0):  # it is live
            assert vehicle.set_parameter("min_confidence", least).successful
            mask = np.where(HOOD | (certain < 255 * least), 255, PIXELS[:, :, 0]).astype(np.uint8)
            found = answers()
            np.testing.assert_array_equal(found["mask"][:, :, 0], mask)
            np.testing.assert_array_equal(found["confidence"][:, :, 0], np.where(HOOD, 0, certain))
            np.testing.assert_array_equal(found["color_mask"], paint(mask, table))
            np.testing.assert_array_equal(found["overlay"], blend(PIXELS, mask, table, opacity=0.5))
        reason = vehicle.set_parameter("min_confidence", 50).reason
        assert reason == "parameter min_confidence must be a number from 0 to 1, got 50"


def test_confidence_is_computed_only_where_it_is_needed() -> None:
    engine = WatchedEngine()
    with fake_node(engine=engine) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        image = camera_image(PIXELS, "bgr8")
        camera.connect(image, masks)
        assert not any(engine.asked)
        assert vehicle.set_parameter("min_confidence", 0.5).successful
        mask = to_array(vehicle.answer(masks, camera.send(image)))
        assert engine.asked[-1] and (mask[:, :32] == 255).all() and (mask[:, 32:] < 255).all()
        engine.has_confidence = False
        assert (to_array(vehicle.answer(masks, camera.send(image)))[:, :, 0] == PIXELS[:, :, 0]).all()


def test_without_a_confidence_the_threshold_is_said_to_have_no_effect(capfd: pytest.CaptureFixture) -> None:
    engine = WatchedEngine()
    engine.has_confidence = False
    with fake_node("-p", "min_confidence:=0.5", engine=engine) as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(camera_image(PIXELS, "bgr8"), vehicle.listen("/segmentation/mask", Image))
    assert "min_confidence has no effect: fake gives no confidence" in capfd.readouterr().err


def test_each_camera_of_a_batch_has_its_own_ignore_mask(hood: Path) -> None:
    cameras = ("-p", "cameras:=[left, right]", "-p", f"right.ignore_mask:={hood}")
    with fake_node(*cameras, engine=FakeEngine(max_batch=2)) as (node, vehicle, engine):
        publishers, masks = [], []
        for name in ("left", "right"):
            publishers.append(vehicle.camera(f"/{name}/image_raw"))
            masks.append(vehicle.listen(f"/segmentation/{name}/mask", Image))
            publishers[-1].connect(camera_image(PIXELS, "bgr8"), masks[-1])
        engine.gate.clear()  # the first waits in the engine, the next two are one batch
        taken = len(engine.batches)
        publishers[0].send(camera_image(PIXELS, "bgr8"))
        vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take it")
        sent = [publisher.send(camera_image(PIXELS, "bgr8")) for publisher in publishers]
        vehicle.wait_for(lambda: len(node._pipeline._frames._waiting) == 2, "both to wait")
        engine.gate.set()
        left, right = (to_array(vehicle.answer(*pair))[:, :, 0] for pair in zip(masks, sent))
        assert engine.batches[-2:] == [1, 2]
        assert np.array_equal(left, PIXELS[:, :, 0])
        assert np.array_equal(right, np.where(HOOD, 255, PIXELS[:, :, 0]))


def test_unknown_pixels_are_unknown_in_the_ground_grid(tmp_path: Path) -> None:
    """The confidence is the class's id here, 3 for the road and 8 for the car, of 255; the hood covers the car."""
    picture = street()
    hood = np.zeros((picture.height, picture.width), np.uint8)
    hood[:, 3 * picture.width // 4 :] = 255
    Picture.fromarray(hood).save(tmp_path / "hood.png")
    arguments = ("-p", "grid.x:=[0.0, 10.0]", "-p", "grid.y:=[-5.0, 5.0]", "-p", "grid.resolution:=0.5")
    arguments += ("-p", f"camera.pose:={POSE}", "-p", f"camera.ignore_mask:={tmp_path / 'hood.png'}")
    with fake_node(*arguments) as (_, vehicle, _):
        grids = vehicle.listen("/segmentation/ground_grid", OccupancyGrid)
        camera, infos = vehicle.camera("/camera/image_raw"), vehicle.camera("/camera/camera_info", kind=CameraInfo)

        def road_and_car() -> List[int]:
            """The cells 6 m ahead, and there 2.5 m to the right."""
            infos.send(camera_info())
            camera.send(street())
            return [int(grids[-1].data[row * 20 + 12]) for row in (10, 5)] if grids else []

        vehicle.wait_for(lambda: road_and_car() == [0, -1], "the car to be ignored")
        assert vehicle.set_parameter("min_confidence", 0.02).successful
        vehicle.wait_for(lambda: road_and_car() == [-1, -1], "the road to be unknown")


def test_an_image_of_another_size_is_skipped_and_both_sizes_are_told(hood: Path, capfd: pytest.CaptureFixture) -> None:
    with fake_node("-p", f"camera.ignore_mask:={hood}") as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        vehicle.wait_for_subscriptions(camera.topic, 1)
        narrow = camera_image(PIXELS[:, :32], "bgr8")

        def status() -> Any:
            camera.send(narrow)
            said = "no image could be segmented: skipped ignore mask; see the log"
            return [s for s in vehicle.statuses(CAMERA) if s.message == said]

        (found, *_) = vehicle.wait_for(status, "the status")
        assert found.level == DiagnosticStatus.ERROR and int(values_of(found)["skipped_ignore_mask"]) > 0
        assert not masks
        camera.connect(camera_image(PIXELS, "bgr8"), masks)
    expected = "size of the image, 32x48, got one of 64x48 as camera.ignore_mask; make one of 32x48"
    assert f"skipped an image of /camera/image_raw: expected an ignore mask of the {expected}" in capfd.readouterr().err


def test_a_file_that_is_no_ignore_mask_is_told_and_can_be_corrected(hood: Path, tmp_path: Path) -> None:
    photo, text, missing = tmp_path / "hood.jpg", tmp_path / "text.png", tmp_path / "missing.png"
    Picture.fromarray(PIXELS).save(photo)
    text.write_text("a hood")
    with fake_node(autostart=False) as (_, vehicle, _):

        def enable(path: Path) -> Any:
            assert vehicle.set_parameter("camera.ignore_mask", str(path)).successful
            return vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True))

        for path, why in (
            (photo, f"{photo} is a JPEG, which does not keep ids as they are"),
            (text, f"{text} cannot be decoded as an image"),
            (missing, f"expected an ignore mask at {missing}, found no file; give the path of a PNG"),
            (Path("~nobody_here/hood.png"), "expected an ignore mask at ~nobody_here/hood.png, found no file"),
        ):
            answer = enable(path)
            assert not answer.success
            assert answer.message.startswith(f"could not configure: parameter camera.ignore_mask: {why}")
        assert enable(hood).success
        reason = vehicle.set_parameter("camera.ignore_mask", "").reason
        assert reason.startswith("parameter camera.ignore_mask is read when the node is configured")


def test_two_frames_a_second_are_measured_and_the_last_10_s_count(monkeypatch: pytest.MonkeyPatch, hood: Path) -> None:
    now = [100.0]
    monkeypatch.setattr(camera_confidence, "time", SimpleNamespace(monotonic=lambda: now[0]))
    parameters: Any = {"min_confidence": 0.0, "warn_confidence": 0.6, "camera.ignore_mask": str(hood)}
    node: Any = SimpleNamespace(get_logger=lambda: logging.getLogger("node"))
    measured = CameraConfidence(node, parameters, "camera")
    assert measured.is_due and measured.figures() is None and not measured.warning()
    for seconds, certain in ((0.0, 51), (PERIOD, 153)):
        now[0] = 100 + seconds
        assert measured.is_due
        measured.measure(np.where(HOOD, 255, certain).astype(np.uint8), None)
        now[0] += 0.9 * PERIOD
        assert not measured.is_due
    assert measured.figures() == pytest.approx((0.4, 0.0)) and measured.warning()
    now[0] = 100 + WINDOW + PERIOD
    assert measured.figures() == pytest.approx((0.6, 0.0)) and not measured.warning()
    now[0] += 0.1
    assert measured.figures() is None


def test_ignored_pixels_are_not_measured_whatever_the_size_of_the_image(tmp_path: Path) -> None:
    hood = np.zeros((47, 61), np.uint8)
    hood[40:], hood[:, 56:] = 255, 255
    Picture.fromarray(hood).save(tmp_path / "hood.png")
    node: Any = SimpleNamespace(get_logger=lambda: logging.getLogger("node"))
    parameters: Any = {"min_confidence": 0.5, "warn_confidence": 0.0, "camera.ignore_mask": str(tmp_path / "hood.png")}
    measured = CameraConfidence(node, parameters, "camera")
    measured.measure(np.where(hood, 0, 255).astype(np.uint8), None)  # as `hide_unknown` gives it
    assert measured.figures() == (1.0, 0.0)


def values_with_confidence(vehicle: Vehicle) -> Dict[str, str]:
    """The values of the camera's next status that has a mean confidence."""

    def told() -> List[Dict[str, str]]:
        found = [values_of(status) for status in vehicle.statuses(CAMERA)]
        return [values for values in found if "mean_confidence" in values]

    return vehicle.wait_for(told, "the mean confidence")[-1]


def test_the_mean_confidence_of_the_logits_is_told(tmp_path: Path, card: ModelCard, hood: Path) -> None:
    """With a real engine, of which nobody asks the confidence; the figure is that of what is not ignored."""
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    arguments = ("-p", f"model:={model}", "-p", "device:=cpu", "-p", "precision:=fp32")
    with node_here(*arguments, "-p", f"camera.ignore_mask:={hood}", load=load_engine) as (_, vehicle):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(camera_image(PIXELS, "bgr8"), vehicle.listen("/segmentation/mask", Image))
        values = values_with_confidence(vehicle)
    engine = load_engine(model, device="cpu", precision="fp32")
    engine.segment(PIXELS)
    logits = engine.last_logits()
    assert logits is not None and logits.shape[:2] == (1, len(card.classes))
    cells = cell_confidence(logits[0])
    assert float(values["mean_confidence"]) == pytest.approx(cells[: 3 * cells.shape[0] // 4].mean(), abs=0.001)
    assert values["unknown_share"] == "0.000"


def test_low_confidence_is_a_warning_and_the_share_of_unknown_pixels_is_told() -> None:
    logits = np.zeros((1, 4, 6, 8), np.float32)  # each class has a fourth of the probability
    engine = WatchedEngine(logits=logits)
    with fake_node("-p", "warn_confidence:=0.2", engine=engine) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        image = camera_image(PIXELS, "bgr8")
        camera.connect(image, masks)
        assert values_with_confidence(vehicle)["mean_confidence"] == "0.250" and not any(engine.asked)
        vehicle.wait_for_status(CAMERA, DiagnosticStatus.OK, "^segmenting")
        assert vehicle.set_parameter("warn_confidence", 0.3).successful
        words = (
            "^the model is not sure of what it sees: mean_confidence is below warn_confidence, 0.3; look for a covered"
        )
        vehicle.wait_for_status(CAMERA, DiagnosticStatus.WARN, words)

        assert vehicle.set_parameter("min_confidence", 0.5).successful

        def unknown() -> float:
            camera.send(image)
            return float(values_of(vehicle.statuses(CAMERA)[-1])["unknown_share"])

        vehicle.wait_for(unknown, "the share of unknown pixels")
        assert engine.asked[-1] and 0 < unknown() <= 0.5


class EngineWithLogits(FakeEngine):
    """Of as many classes as the first pixel of a frame says, all alike."""

    def __init__(self) -> None:
        super().__init__(max_batch=2)
        self._logits: List[np.ndarray] = []

    def last_logits(self) -> np.ndarray:
        return np.stack(self._logits)

    def _segment_batch(self, frames: Any, *, confidence: bool) -> List[Segmentation]:
        self._logits = [np.zeros((4, 6, 8), np.float32) for _ in frames]
        for frame, logits in zip(frames, self._logits):
            logits[frame[0, 0, 0] :] = -100
        return super()._segment_batch(frames, confidence=confidence)


def test_frames_that_are_segmented_together_have_confidences_of_their_own() -> None:
    engine = EngineWithLogits()
    with fake_node("-p", "cameras:=[left, right]", engine=engine) as (_, vehicle, _):
        cameras = {name: vehicle.camera(f"/{name}/image_raw") for name in ("left", "right")}
        images = {name: camera_image(np.full((*SIZE, 3), number, np.uint8), "bgr8") for name, number in CLASSES.items()}
        masks = {name: vehicle.listen(f"/segmentation/{name}/mask", Image) for name in cameras}
        for name, camera in cameras.items():
            camera.connect(images[name], masks[name])
        for _ in range(2):
            vehicle.spin_until(lambda: False, 1.1 * PERIOD)
            engine.gate.clear()
            together = [(name, cameras[name].send(images[name])) for name in ("left", "left", "right")]
            vehicle.spin_until(lambda: False, 0.1)
            engine.gate.set()
            for name, image in together[1:]:
                vehicle.answer(masks[name], image)
        assert 2 in engine.batches
        for name, number in CLASSES.items():
            status = vehicle.wait_for_status(f"{NODE}: camera {name}", DiagnosticStatus.OK, "")
            assert values_of(status)["mean_confidence"] == f"{1 / number:.3f}"


def test_where_the_engine_has_no_logits_a_warning_costs_the_confidence_of_two_frames_a_second() -> None:
    engine = WatchedEngine()
    with fake_node(engine=engine) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        image = camera_image(PIXELS, "bgr8")
        camera.connect(image, masks)
        status = vehicle.wait_for_status(CAMERA, DiagnosticStatus.OK, "^segmenting")
        assert "mean_confidence" not in values_of(status) and not any(engine.asked)
        assert vehicle.set_parameter("warn_confidence", 0.9).successful
        vehicle.diagnostics.forget()
        del engine.asked[:]
        start = time.monotonic()

        def warned() -> bool:
            vehicle.answer(masks, camera.send(image))
            vehicle.spin_until(lambda: False, 0.02)
            return any("mean_confidence is below" in status.message for status in vehicle.statuses(CAMERA))

        vehicle.wait_for(warned, "a warning")
        values = values_of(vehicle.statuses(CAMERA)[-1])
        assert float(values["mean_confidence"]) == pytest.approx(PIXELS[::8, ::8, 1].mean() / 255, abs=0.001)
        assert 0 < sum(engine.asked) <= 1 + (time.monotonic() - start) / PERIOD
