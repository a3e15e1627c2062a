# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Confidence, color mask and overlay, over Fast DDS: beside the engine, and only while somebody listens."""

from __future__ import annotations

import os
import sys
import threading
import time
from copy import copy
from typing import Any, Dict, List

import numpy as np
import pytest
from camvid_classes import CAMVID
from fake_node import fake_node
from node_harness import CAMERA, NODE, PATIENCE, FakeEngine, camera_image, find_answer, to_array, values_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.images.encodings import decode_compressed
from bisenet_ros.node import camera_outputs, derived_topics
from bisenet_ros.node.camera_outputs import OUTPUT_TOPICS

pytestmark = pytest.mark.timeout(60)

PICTURES = ("color_mask", "color_mask/compressed", "overlay", "overlay/compressed")


def test_derived_topics_are_computed_only_while_subscribed(monkeypatch: pytest.MonkeyPatch) -> None:
    derived: List[str] = []
    confidences: List[bool] = []

    class WatchedEngine(FakeEngine):
        def _segment_batch(self, frames: Any, *, confidence: bool) -> List[Segmentation]:
            confidences.append(confidence)
            return super()._segment_batch(frames, confidence=confidence)

    for name in ("paint", "blend", "encode_color_mask", "encode_jpeg"):
        function = getattr(camera_outputs, name)
        noted = lambda *args, f=function, n=name, **kwargs: derived.append(n) or f(*args, **kwargs)  # noqa: E731
        monkeypatch.setattr(camera_outputs, name, noted)
    with fake_node(engine=WatchedEngine()) as (_, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        image = camera_image(np.zeros((48, 64, 3), np.uint8), "bgr8")
        camera.connect(image, masks)
        assert not derived and not any(confidences)
        for topic, made in (
            ("color_mask", "paint"),
            ("color_mask/compressed", "encode_color_mask"),
            ("overlay", "blend"),
            ("overlay/compressed", "encode_jpeg"),
        ):
            assert made not in derived
            camera.connect(image, vehicle.listen(f"/segmentation/{topic}", OUTPUT_TOPICS[topic]))
            assert made in derived
        assert not any(confidences)
        camera.connect(image, vehicle.listen("/segmentation/confidence", Image))
        assert confidences[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")
def test_the_engine_comes_before_the_derived_topics_where_every_core_is_busy() -> None:
    def niceness() -> Dict[str, int]:
        return {thread.name: os.getpriority(os.PRIO_PROCESS, thread.native_id) for thread in threading.enumerate()}

    derived = ("publish_confidences", "publish_grids", "publish_pictures")
    with fake_node() as (_, vehicle, _):
        engine = niceness()["segment_all"]
        assert niceness()["convert_all"] == engine
        vehicle.wait_for(lambda: all(niceness()[name] == engine + 5 for name in derived), "the niceness")


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")
def test_where_the_niceness_cannot_be_set_the_topics_are_published(
    monkeypatch: pytest.MonkeyPatch, image: Image
) -> None:
    refused = []

    def refuse(*arguments: int) -> None:
        refused.append(arguments)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    with fake_node() as (_, vehicle, _):
        overlays, camera = vehicle.listen("/segmentation/overlay", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, overlays)
    assert len(refused) == 3


def test_compressed_pictures_show_what_the_raw_ones_do() -> None:
    smooth = np.linspace(0, 255, 64 * 48 * 3).astype(np.uint8).reshape(48, 64, 3)
    smooth[:, :, 0] = np.arange(64) // 6  # the fake engine's mask
    with fake_node("-p", "overlay_opacity:=0.25") as (_, vehicle, _):
        camera, sent = vehicle.camera("/camera/image_raw"), camera_image(smooth, "bgr8")
        found = {topic: vehicle.listen(f"/segmentation/{topic}", OUTPUT_TOPICS[topic]) for topic in PICTURES}
        for messages in found.values():
            camera.connect(sent, messages)
        sent = camera.send(sent)
        answers = {topic: vehicle.answer(messages, sent) for topic, messages in found.items()}
        assert all(answer.header == sent.header for answer in answers.values())
        mask, table = smooth[:, :, 0], CAMVID.color_table()
        color_mask, overlay = answers["color_mask/compressed"], answers["overlay/compressed"]
        assert color_mask.format == "rgb8; png compressed bgr8" and bytes(color_mask.data).startswith(b"\x89PNG")
        assert overlay.format == "bgr8; jpeg compressed bgr8" and bytes(overlay.data).startswith(b"\xff\xd8\xff")
        decoded = decode_compressed(format=color_mask.format, data=color_mask.data)
        np.testing.assert_array_equal(decoded[:, :, ::-1], paint(mask, table))
        np.testing.assert_array_equal(to_array(answers["color_mask"]), paint(mask, table))
        expected = blend(smooth, mask, table, opacity=0.25)
        np.testing.assert_array_equal(to_array(answers["overlay"]), expected)
        decoded = decode_compressed(format=overlay.format, data=overlay.data)
        assert np.abs(decoded.astype(int) - expected).mean() < 10


def test_masks_and_confidences_do_not_wait_for_pictures_of_which_the_newest_wins(
    monkeypatch: pytest.MonkeyPatch, image: Image
) -> None:
    entered, gate = threading.Event(), threading.Event()
    gate.set()

    def slow_blend(*arguments: Any, **options: Any) -> np.ndarray:
        entered.set()
        assert gate.wait(PATIENCE)
        return blend(*arguments, **options)

    monkeypatch.setattr(camera_outputs, "blend", slow_blend)
    with fake_node() as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        masks, confidences, overlays = (
            vehicle.listen(f"/segmentation/{topic}", Image) for topic in ("mask", "confidence", "overlay")
        )
        for messages in (masks, confidences, overlays):
            camera.connect(image, messages)
        vehicle.answer(overlays, camera.send(copy(image)))  # then no picture waits any more
        vehicle.counts()  # waits for diagnostics of all of this
        earlier = values_of(vehicle.statuses(CAMERA)[-1])
        gate.clear()
        entered.clear()
        first = camera.send(copy(image))
        vehicle.wait_for(entered.is_set, "the overlay to be drawn")
        later = []
        for _ in range(5):
            later.append(camera.send(copy(image)))
            vehicle.answer(masks, later[-1])
            vehicle.answer(confidences, later[-1])
        assert find_answer(overlays, first.header) is None
        before = vehicle.counts()
        gate.set()
        vehicle.answer(overlays, later[-1])
        vehicle.answer(overlays, first)
        assert not any(find_answer(overlays, sent.header) for sent in later[:-1])
        after = vehicle.counts()
        assert after["received"] == before["received"] == before["published"], "each image has its mask"
        values = values_of(vehicle.statuses(CAMERA)[-1])
        assert int(values["pictures_dropped"]) == int(earlier["pictures_dropped"]) + 4
        assert values["confidence_dropped"] == earlier["confidence_dropped"]
        assert float(values["pictures_p99_ms"]) > float(values["total_p99_ms"])


def test_pictures_that_wait_when_the_node_is_deactivated_are_dropped(
    monkeypatch: pytest.MonkeyPatch, image: Image
) -> None:
    entered, gate = threading.Event(), threading.Event()

    def held_paint(*arguments: Any, **options: Any) -> np.ndarray:
        entered.set()
        assert gate.wait(PATIENCE)
        return paint(*arguments, **options)

    with fake_node() as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        masks, color_masks = (vehicle.listen(f"/segmentation/{topic}", Image) for topic in ("mask", "color_mask"))
        for messages in (masks, color_masks):
            camera.connect(image, messages)
        vehicle.answer(color_masks, camera.send(copy(image)))  # then no picture waits any more
        vehicle.counts()  # waits for diagnostics of all of this
        dropped = int(values_of(vehicle.statuses(CAMERA)[-1])["pictures_dropped"])
        monkeypatch.setattr(camera_outputs, "paint", held_paint)
        camera.send(copy(image))
        vehicle.wait_for(entered.is_set, "the color mask to be drawn")
        waiting = camera.send(copy(image))
        vehicle.answer(masks, waiting)
        assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=False)).success
        gate.set()
        assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
        vehicle.counts()
        assert int(values_of(vehicle.statuses(CAMERA)[-1])["pictures_dropped"]) == dropped + 1
        camera.connect(image, color_masks)
        assert find_answer(color_masks, waiting.header) is None


def test_pictures_keep_to_their_rate_and_the_last_is_shown(image: Image) -> None:
    with fake_node("-p", "picture_rate:=4.0") as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        masks, overlays = (vehicle.listen(f"/segmentation/{topic}", Image) for topic in ("mask", "overlay"))
        for messages in (masks, overlays):
            camera.connect(image, messages)
        del overlays[:]
        start = time.monotonic()
        for _ in range(20):
            sent = camera.send(copy(image))
            vehicle.answer(masks, sent)
            vehicle.spin_until(lambda: False, 0.02)
        vehicle.answer(overlays, sent)
        assert len(overlays) <= 1 + 4 * (time.monotonic() - start) and len(overlays) < 15
        assert vehicle.set_parameter("picture_rate", 0).successful
        for _ in range(5):
            vehicle.answer(overlays, camera.send(copy(image)))
        result = vehicle.set_parameter("picture_rate", "often")
        assert result.reason == "parameter picture_rate must be a number from 0 to 1000, got 'often'"


def test_pictures_come_when_they_are_due(monkeypatch: pytest.MonkeyPatch, image: Image) -> None:
    """Not at the next look whether the rate has changed."""
    monkeypatch.setattr(derived_topics, "POLLING_PERIOD", 60.0)
    with fake_node("-p", "picture_rate:=20.0") as (_, vehicle, _):
        camera, overlays = vehicle.camera("/camera/image_raw"), vehicle.listen("/segmentation/overlay", Image)
        camera.connect(image, overlays)
        for _ in range(3):
            vehicle.answer(overlays, camera.send(copy(image)))
