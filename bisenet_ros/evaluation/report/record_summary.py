# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Summarizes a stream of frame records; of each frame only a few numbers stay in memory."""

from array import array
from collections import Counter
from typing import Callable, Collection, Dict, Iterable, List, Sequence, Tuple

import numpy as np
from numpy.typing import ArrayLike

from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.metrics import mean_iou
from bisenet_ros.evaluation.run_summary import TopicKey

BINS = 240
"""Points of a curve; each has several frames of a longer topic."""
GALLERY = 4
"""Extreme frames of a kind whose pictures a report shows."""
APART = 24
"""Extreme frames of a topic are at least 1/24 of its frames apart, so that they are not of one moment."""


class Series:
    """Values over time: `mean`, `lowest` and `highest` of every bin, and `total_mean`; float64, NaN without values."""

    def __init__(self, values: ArrayLike) -> None:
        """Takes one value, or one row of values, for each frame; NaN where it has none."""
        numbers = np.asarray(values, np.float64)
        starts, known = bin_starts(len(numbers)), np.isfinite(numbers)
        sums = np.where(known, numbers, 0)
        with np.errstate(invalid="ignore"):
            self.mean = np.add.reduceat(sums, starts) / np.add.reduceat(known, starts, dtype=float)
            self.total_mean = float(sums.sum() / np.float64(known.sum()))
        self.lowest, self.highest = np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts)


class TopicSummary:
    """One topic of one bag.

    Attributes:
        sizes: frames by (width, height).
        shares: frames x classes float32, see FrameRecord.
        pixels: of every frame.
        stamps_ns, indices, confidence, consistency, engine_ms, miou: of every frame, see FrameRecord; NaN where there
            is none.
        change: classes x 2 int64: compared and changed pixels by the class before.
        confusion: classes x classes int64, of all frames with ground truth.
        scored_frames: frames with ground truth.
    """

    def __init__(self, key: TopicKey, *, classes: int) -> None:
        self.key = key
        self.sizes: Counter = Counter()
        self.stamps_ns, self.indices, self.pixels = array("q"), array("q"), array("q")
        self.confidence, self.consistency, self.engine_ms, self.miou = (array("d") for _ in range(4))
        self.change = np.zeros((classes, 2), np.int64)
        self.confusion = np.zeros((classes, classes), np.int64)
        self.scored_frames = 0
        self._shares = array("f")

    @property
    def frames(self) -> int:
        return len(self.indices)

    @property
    def shares(self) -> np.ndarray:
        return np.reshape(self._shares, (self.frames, -1))

    def add(self, record: FrameRecord) -> None:
        """Takes the topic's next record."""
        self._shares.extend(record.shares)
        self.stamps_ns.append(record.stamp_ns)
        self.indices.append(record.index)
        self.pixels.append(record.width * record.height)
        self.sizes[record.width, record.height] += 1
        self.engine_ms.append(record.engine_ms)
        self.confidence.append(record.confidence)
        self.consistency.append(np.nan if record.changed is None else 1 - record.changed)
        for class_before, compared, changed in record.change or []:
            self.change[class_before] += compared, changed
        confusion = record.dense_confusion()
        self.miou.append(mean_iou(confusion))
        self.confusion += confusion
        self.scored_frames += record.confusion is not None

    def frame_key(self, place: int) -> FrameKey:
        return (*self.key, self.indices[place])


def bin_starts(frames: int) -> np.ndarray:
    """The number of the first frame of each bin."""
    return np.arange(min(BINS, frames)) * frames // min(BINS, frames)


def summarize(records: Iterable[FrameRecord], *, classes: int) -> Dict[TopicKey, TopicSummary]:
    """Reads the records once; topics are in the order of their first frame."""
    topics: Dict[TopicKey, TopicSummary] = {}
    for record in records:
        key = record.key[:2]
        if key not in topics:
            topics[key] = TopicSummary(key, classes=classes)
        topics[key].add(record)
    return topics


def lowest_frames(
    topics: Iterable[TopicSummary], values: Callable[[TopicSummary], Sequence[float]]
) -> List[Tuple[float, FrameKey]]:
    """The GALLERY frames with the lowest values over all topics, the lowest first; of one moment only one."""
    found: List[Tuple[float, FrameKey]] = []
    for topic in topics:
        numbers = np.asarray(values(topic))
        chosen: List[int] = []
        for place in np.argsort(numbers, kind="stable"):
            if len(chosen) == GALLERY or np.isnan(numbers[place]):
                break
            if all(abs(place - other) >= topic.frames / APART for other in chosen):
                chosen.append(int(place))
        found += [(float(numbers[place]), topic.frame_key(place)) for place in chosen]
    return sorted(found, key=lambda entry: entry[0])[:GALLERY]


def find_records(records: Iterable[FrameRecord], keys: Collection[FrameKey]) -> Dict[FrameKey, FrameRecord]:
    return {record.key: record for record in records if record.key in keys}


def total_consistency(topics: Collection[TopicSummary]) -> float:
    """Temporal consistency over all compared pixels, 0 to 1; NaN where there are none."""
    compared, changed = np.sum([topic.change for topic in topics], axis=(0, 1))
    return 1 - changed / compared if compared else np.nan


def mean_confidence(topics: Iterable[TopicSummary]) -> float:
    """The mean confidence of all frames, 0 to 1."""
    return float(np.mean(np.concatenate([topic.confidence for topic in topics])))


def engine_percentiles(topics: Iterable[TopicSummary]) -> Dict[str, float]:
    """The engine's milliseconds per frame: mean, p50, p90, p99 and the highest, rounded to 3 digits."""
    numbers = np.concatenate([topic.engine_ms for topic in topics])
    p50, p90, p99 = np.percentile(numbers, [50, 90, 99])
    found = {"mean": numbers.mean(), "p50": p50, "p90": p90, "p99": p99, "highest": numbers.max()}
    return {name: round(float(value), 3) for name, value in found.items()}
