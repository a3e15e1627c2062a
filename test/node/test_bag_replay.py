# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A bag through the real node in real time, over Fast DDS, against masks made offline."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import List, NamedTuple

import numpy as np
import pytest

from bisenet_ros.bags.bag_images import IMAGE, BagFrame
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.engines import load_engine
from bisenet_ros.evaluation.frame_record import FrameMeasurer, FrameRecord
from bisenet_ros.evaluation.run_engine import EngineOptions
from bisenet_ros.evaluation.run_summary import NodeReplay, Source
from bisenet_ros.node.driver import bag_replay
from bisenet_ros.node.driver.bag_replay import replay_through_node
from bisenet_ros.node.driver.interval import Interval, SentFrame

MODEL = Path(__file__).parents[2] / "models" / "bisenetv2_camvid.onnx"
FRAMES = 6
NETWORK_SIZE = "128x96"
"""So small that the node keeps up with a frame every 0.2 s on a busy machine too."""
TOPIC, MASKS = "/front/image_raw", "/front/mask"
SOURCE = {"bag": "drive", "topic": TOPIC, "message_type": IMAGE, "masks": "masks", "mask_topic": MASKS, "skipped": {}}


def stamp(index: int) -> int:
    return 10**9 + index * 2 * 10**8


class Run(NamedTuple):
    folder: Path
    model: Path
    source: Source
    records: List[FrameRecord]

    def replay(self, *, precision: str = "fp32", rate: float = 1.0) -> NodeReplay:
        engine = EngineOptions(self.model, "cpu", precision, NETWORK_SIZE, class_map=None)
        return replay_through_node(self.source, self.records, folder=self.folder, engine=engine, rate=rate)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A bag, its masks as the engine makes them but for 7 pixels of frame 3, and the records."""
    folder = tmp_path_factory.mktemp("run")
    model = Path(shutil.copy(MODEL, tmp_path_factory.mktemp("the #")))  # which begins a comment of YAML
    random = np.random.default_rng(5)
    engine = load_engine(model, device="cpu", precision="fp32", network_size=NETWORK_SIZE)
    measurer, records = FrameMeasurer(len(engine.card.classes)), []
    topics = {"drive": {TOPIC: IMAGE}, "masks": {MASKS: IMAGE}}
    bag, masks = (BagWriter(folder / name, storage="sqlite3", topics=types) for name, types in topics.items())
    with bag, masks:
        for index in range(FRAMES):
            frame = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            bag.write_image(TOPIC, frame, encoding="bgr8", stamp_ns=stamp(index), frame_id="front", log_ns=stamp(index))
            if index == 1:  # as if it had been unreadable
                continue
            mask, confidence = engine.segment(frame, confidence=True)
            at = stamp(index)
            read = BagFrame(TOPIC, index, stamp_ns=at, frame_id="front", log_ns=at, pixels=frame)
            records.append(measurer.measure(read, mask, confidence, bag="drive", engine_ms=1.0))
            if index == 3:
                mask = mask.copy()
                mask[0, :7] += 1
            masks.write_image(
                MASKS, mask, encoding="mono8", stamp_ns=stamp(index), frame_id="front", log_ns=stamp(index)
            )
    return Run(folder, model, Source(path=str(folder / "drive"), **SOURCE), records)


def test_masks_of_the_node_are_the_offline_ones_but_for_pixels_that_we_changed(run):
    found = run.replay()
    assert found.sent == FRAMES - 1
    assert found.received == FRAMES - 1 and not any(found.losses.values())
    assert found.differing_frames == [stamp(3)] and found.differing_pixels == 7
    assert 0 < found.latency_p50_ms <= found.latency_p99_ms
    assert "fp32" in found.engine


def test_frames_that_come_too_fast_are_lost_and_it_says_where(run):
    found = run.replay(rate=10000.0)
    assert 1 <= found.received < found.sent == FRAMES - 1
    assert sum(found.losses.values()) == found.sent - found.received
    assert min(found.losses.values(), default=1) > 0
    assert found.differing_frames in ([], [stamp(3)])


def test_without_a_mask_there_is_no_latency():
    interval = Interval(outputs=("mask",), sent={("camera", 0): SentFrame(0, 0)})
    figures = bag_replay._summarize(interval, SimpleNamespace(differing_pixels={}), stamps_ns=[0])
    assert figures["latency_p50_ms"] is figures["latency_p99_ms"] is None
    facts = NodeReplay(bag="drive", topic=TOPIC, rate=1.0, engine="an engine", **figures).facts()
    assert facts["masks received"] == "0" and facts["frames lost"] == "1: 1 not answered"
    assert facts["latency, p50 / p99"] == facts["pixels that differ from the offline result"] == "-"
