# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The measurements of a frame, and the file that keeps them."""

from __future__ import annotations

import numpy as np
import pytest
from camvid_classes import CAMVID

from bisenet_ros.bags.bag_images import BagFrame
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.frame_record import RECORDS, FrameMeasurer, FrameRecord, RecordFile

SIZE = (60, 80)


def scene(index: int):
    random = np.random.default_rng(index)
    frame = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    labels = random.integers(0, len(CAMVID), SIZE, dtype=np.uint8)
    return frame, labels, random.integers(0, 256, SIZE, dtype=np.uint8)


def measure(measurer: FrameMeasurer, index: int, **others) -> FrameRecord:
    pixels, mask, confidence = scene(index)
    frame = BagFrame("/camera", index, stamp_ns=index * 10**8, frame_id="", log_ns=0, pixels=pixels)
    return measurer.measure(frame, mask, confidence, bag="drive", engine_ms=0.1 + index, **others)


def test_a_frame_is_measured():
    frame, labels, confidence = scene(0)
    truth = labels.copy()
    truth[:10] = 255
    truth[20, :5] = (labels[20, :5] + 1) % len(CAMVID)
    record = measure(FrameMeasurer(len(CAMVID)), 0, ground_truth=truth)
    assert record.key == ("drive", "/camera", 0) and (record.width, record.height) == (80, 60)
    assert record.shares == [float((labels == label).mean()) for label in range(len(CAMVID))]
    assert record.confidence == pytest.approx(confidence.mean() / 255)
    assert record.change is None and record.changed is None
    confusion = record.dense_confusion()
    assert confusion.sum() == 50 * 80 and np.trace(confusion) == 50 * 80 - 5


def test_a_record_is_the_same_after_the_file(tmp_path):
    measurer, file = FrameMeasurer(len(CAMVID)), RecordFile(tmp_path / RECORDS)
    records = [measure(measurer, index, ground_truth=scene(index)[1] if index == 1 else None) for index in range(3)]
    for record in records:
        file.append(record)
    assert list(file) == records == list(file)
    assert records[1].change is not None and records[1].confusion and records[2].confusion is None
    assert len(file.path.read_text().splitlines()) == 3


def test_a_line_that_is_no_record_is_named(tmp_path):
    file = RecordFile(tmp_path / RECORDS)
    file.append(measure(FrameMeasurer(len(CAMVID)), 0))
    for broken in ('{"bag": "drive"}', "[]", "null", "{"):
        file.path.write_text(file.path.read_text().splitlines()[0] + f"\n{broken}\n")
        with pytest.raises(BisenetError, match="line 2: expected a frame's record"):
            list(file)


def test_masks_that_cannot_be_are_refused():
    pixels, labels, confidence = scene(0)
    frame = BagFrame("/camera", 0, stamp_ns=0, frame_id="", log_ns=0, pixels=pixels)
    place = {"bag": "drive", "engine_ms": 1.0}
    with pytest.raises(ValueError, match="frame's size"):
        FrameMeasurer(len(CAMVID)).measure(frame, labels[:9], confidence, **place)
    with pytest.raises(ValueError, match="ids 0 to 10, got 17"):
        FrameMeasurer(len(CAMVID)).measure(frame, np.full_like(labels, 17), confidence, **place)
    with pytest.raises(ValueError, match="one size"):
        FrameMeasurer(len(CAMVID)).measure(frame, labels, confidence, ground_truth=labels[:9], **place)
