# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameter `smoothing`, over Fast DDS: one deviating frame no longer shows in the mask."""

from __future__ import annotations

from typing import Any, List

import numpy as np
import pytest
from camvid_classes import CAMVID
from fake_node import fake_node
from node_harness import FakeEngine, camera_image, to_array
from sensor_msgs.msg import Image

from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.node.camera import MANY_RESTARTS

pytestmark = pytest.mark.timeout(60)

HEIGHT, WIDTH = 192, 256


class SureEngine(CpuEngine):
    """Gives every pixel the class `class_id`."""

    def __init__(self) -> None:
        card = ModelCard("sure", CAMVID, mean=(0.4,) * 3, std=(0.3,) * 3, network_size=(HEIGHT, WIDTH))
        super().__init__(card, description="sure")
        self.class_id = 0

    def _logits(self, image: np.ndarray) -> np.ndarray:
        logits = np.zeros((1, len(CAMVID), HEIGHT // 8, WIDTH // 8), np.float32)
        logits[:, self.class_id] = 6
        return logits


def still_frame(number: int) -> Image:
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    image = camera_image(np.kron(pixels, np.ones((16, 16, 1), np.uint8)), "bgr8")
    image.header.stamp.sec, image.header.stamp.nanosec = 100, number * 66_000_000
    return image


def masks_of(vehicle: Any, engine: SureEngine, masks: List[Image], class_ids: List[int]) -> List[np.ndarray]:
    """The mask of each of these classes in turn, for one still picture."""
    camera, found = vehicle.camera("/camera/image_raw"), []
    camera.connect(still_frame(0), masks)
    for number, class_id in enumerate(class_ids, start=1):
        engine.class_id = class_id
        image = camera.send_as_it_is(still_frame(number))
        found.append(to_array(vehicle.answer(masks, image)))
    return found


def test_a_deviating_frame_does_not_show_while_smoothing_is_on() -> None:
    engine: Any = SureEngine()
    with fake_node("-p", "smoothing:=0.7", engine=engine) as (_, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        before, deviating, after = masks_of(vehicle, engine, masks, [0, 3, 0])
        assert (before == 0).all() and (deviating == 0).mean() > 0.9 and (after == 0).mean() > 0.9
        assert vehicle.set_parameter("smoothing", 0.0).successful
        engine.class_id = 5
        camera = vehicle.camera("/camera/image_raw")
        assert (to_array(vehicle.answer(masks, camera.send_as_it_is(still_frame(4)))) == 5).all()
        assert not vehicle.set_parameter("smoothing", 1.0).successful


@pytest.mark.parametrize("min_confidence, class_id", [(0.6, 0), (0.8, 255)])
def test_mask_and_confidence_are_both_those_of_the_smoothed_logits(min_confidence: float, class_id: int) -> None:
    """The deviating frame alone is of class 3 with a confidence of 0.98; smoothed, it is of class 0 with 0.68."""
    sure, unsure = np.exp([6, 0]) / (np.exp(6) + len(CAMVID) - 1)
    expected = 255 * (0.7 * sure + 0.3 * unsure)
    engine: Any = SureEngine()
    arguments = ("-p", "smoothing:=0.7", "-p", f"min_confidence:={min_confidence}")
    with fake_node(*arguments, engine=engine) as (_, vehicle, _):
        topics = ("mask", "confidence")
        masks, confidences = (vehicle.listen(f"/segmentation/{topic}", Image) for topic in topics)
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(still_frame(0), confidences)
        _, deviating = masks_of(vehicle, engine, masks, [0, 3])
        assert (deviating == class_id).mean() > 0.9
        confidence = to_array(vehicle.answer(confidences, still_frame(2)))
        assert (np.abs(confidence - expected) < 2).mean() > 0.9


def test_an_engine_without_logits_goes_on_and_says_so(capfd: pytest.CaptureFixture) -> None:
    image = camera_image(np.full((48, 64, 3), 7, np.uint8), "bgr8")
    with fake_node("-p", "smoothing:=0.5", engine=FakeEngine()) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        assert (to_array(vehicle.answer(masks, camera.send(image))) == 7).all()
    assert "smoothing has no effect: fake does not give its logits" in capfd.readouterr().err


def test_frames_that_are_too_far_apart_are_told(capfd: pytest.CaptureFixture) -> None:
    engine: Any = SureEngine()
    with fake_node("-p", "smoothing:=0.5", engine=engine) as (_, vehicle, _):
        masks = vehicle.listen("/segmentation/mask", Image)
        camera, frame = vehicle.camera("/camera/image_raw"), still_frame(0)
        camera.connect(still_frame(0), masks)
        for number in range(MANY_RESTARTS):
            frame.header.stamp.sec = 200 + number
            vehicle.answer(masks, camera.send_as_it_is(frame))
        said = "smoothing has no effect on camera: by their stamps its frames are more than 0.5 s apart"
        vehicle.wait_for(lambda: said in capfd.readouterr().err, said)
