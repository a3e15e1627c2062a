"""Summarizes a stream of frame records in memory that does not grow with the frames."""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Callable, Dict, Iterable, List, Optional, Tuple, TypeVar

import numpy as np

from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.metrics import mean_iou

BINS = 240
"""Points of a curve; each has several frames of a longer topic."""
APART = 24
"""Extreme frames of a topic are at least 1/24 of its frames apart, so that they are not of one moment."""

TopicKey = Tuple[str, str]
"""Bag and topic."""
T = TypeVar("T")


class Series:
    """A value over time: mean, lowest and highest of every bin; NaN in bins without a value."""

    def __init__(self, bins: int) -> None:
        self._sums = np.zeros(bins)
        self._counts = np.zeros(bins, np.int64)
        self._lowest = np.full(bins, np.nan)
        self._highest = np.full(bins, np.nan)

    def add(self, place: int, value: float) -> None:
        self._sums[place] += value
        self._counts[place] += 1
        self._lowest[place] = np.fmin(self._lowest[place], value)
        self._highest[place] = np.fmax(self._highest[place], value)

    @property
    def values(self) -> int:
        return int(self._counts.sum())

    @property
    def mean(self) -> np.ndarray:
        return np.divide(self._sums, self._counts, out=np.full_like(self._sums, np.nan), where=self._counts > 0)

    @property
    def lowest(self) -> np.ndarray:
        return self._lowest

    @property
    def highest(self) -> np.ndarray:
        return self._highest

    @property
    def total_mean(self) -> Optional[float]:
        """Of all values; None when there are none."""
        return float(self._sums.sum()) / self.values if self.values else None


class Extremes:
    """The frames with the highest value, some way apart so that they are not all of one moment."""

    def __init__(self, bins: int, frames: int) -> None:
        self._best: List[Optional[Tuple[float, int, FrameRecord]]] = [None] * bins
        self._apart = frames / APART

    def add(self, place: int, value: float, ordinal: int, record: FrameRecord) -> None:
        best = self._best[place]
        if best is None or value > best[0]:
            self._best[place] = value, ordinal, record

    def highest(self, count: int) -> List[Tuple[float, FrameRecord]]:
        """At most `count`, the highest first; of equal ones the earlier."""
        chosen: List[Tuple[float, int, FrameRecord]] = []
        for candidate in sorted(filter(None, self._best), key=lambda entry: (-entry[0], entry[1])):
            if len(chosen) < count and all(abs(candidate[1] - other[1]) >= self._apart for other in chosen):
                chosen.append(candidate)
        return [(value, record) for value, _, record in chosen]


class TopicSummary:
    """One topic of one bag.

    Attributes:
        frames: how many records.
        sizes: frames by (width, height).
        stamps_ns, indices: of the first frame of every bin.
        shares: bins x classes, means.
        confidence, consistency, engine_ms: over time.
        change: classes x 2 int64: compared and changed pixels by the class before.
        confusion: classes x classes int64, of all frames with ground truth.
        scored_frames: frames with ground truth.
        uncertain, inconsistent, wrong: frames by 1 - confidence, by changed pixels, and by 1 - their own mIoU.
        milliseconds: the engine's, of every frame.
    """

    def __init__(self, *, bag: str, topic: str, frames: int, classes: int) -> None:
        bins = min(BINS, frames)
        self.bag, self.topic, self.frames = bag, topic, frames
        self.sizes: Counter = Counter()
        self.stamps_ns, self.indices = np.zeros(bins, np.int64), np.zeros(bins, np.int64)
        self.last_stamp_ns = 0
        self.confidence, self.consistency, self.engine_ms = Series(bins), Series(bins), Series(bins)
        self.change = np.zeros((classes, 2), np.int64)
        self.confusion = np.zeros((classes, classes), np.int64)
        self.scored_frames = 0
        self.uncertain, self.inconsistent, self.wrong = (Extremes(bins, frames) for _ in range(3))
        self.milliseconds = array("d")
        self._shares = np.zeros((bins, classes))
        self._in_bin = np.zeros(bins, np.int64)
        self._seen = 0

    @property
    def first_stamp_ns(self) -> int:
        return int(self.stamps_ns[0])

    @property
    def shares(self) -> np.ndarray:
        return self._shares / self._in_bin[:, None]

    @property
    def mean_shares(self) -> np.ndarray:
        return self._shares.sum(axis=0) / self.frames

    def add(self, record: FrameRecord) -> None:
        """Takes the topic's next record."""
        ordinal, place = self._seen, self._seen * len(self.stamps_ns) // self.frames
        self._seen += 1
        if not self._in_bin[place]:
            self.stamps_ns[place], self.indices[place] = record.stamp_ns, record.index
        self._in_bin[place] += 1
        self.last_stamp_ns = record.stamp_ns
        self.sizes[record.width, record.height] += 1
        self._shares[place] += record.shares
        self.milliseconds.append(record.engine_ms)
        self.engine_ms.add(place, record.engine_ms)
        self.confidence.add(place, record.confidence)
        self.uncertain.add(place, 1 - record.confidence, ordinal, record)
        if record.changed is not None:
            self.consistency.add(place, 1 - record.changed)
            self.inconsistent.add(place, record.changed, ordinal, record)
            for class_before, compared, changed in record.change or []:
                self.change[class_before] += compared, changed
        if record.confusion is not None:
            confusion = record.dense_confusion()
            self.confusion += confusion
            self.scored_frames += 1
            if confusion.any():  # not all of it is unlabeled
                self.wrong.add(place, 1 - mean_iou(confusion), ordinal, record)


def summarize(records: Iterable[FrameRecord], *, classes: int) -> Dict[TopicKey, TopicSummary]:
    """Reads the records twice, once to count them; topics are in the order of their first frame."""
    frames = Counter((record.bag, record.topic) for record in records)
    topics = {
        (bag, topic): TopicSummary(bag=bag, topic=topic, frames=count, classes=classes)
        for (bag, topic), count in frames.items()
    }
    for record in records:
        topics[record.bag, record.topic].add(record)
    return topics


def most_extreme(topics: Iterable[T], which: Callable[[T], Extremes], count: int) -> List[Tuple[float, FrameRecord]]:
    """The extreme frames over all topics with their values, the highest first."""
    found = [entry for topic in topics for entry in which(topic).highest(count)]
    return sorted(found, key=lambda entry: -entry[0])[:count]


def sum_changes(topics: Iterable[TopicSummary]) -> np.ndarray:
    """classes x 2 int64: compared and changed pixels by the class before."""
    return np.sum([topic.change for topic in topics], axis=0)


def mean_confidence(topics: Iterable[TopicSummary]) -> float:
    """Over all frames, 0 to 1."""
    sums = [(topic.frames * (topic.confidence.total_mean or 0.0), topic.frames) for topic in topics]
    return sum(value for value, _ in sums) / sum(frames for _, frames in sums)


def all_milliseconds(topics: Iterable[TopicSummary]) -> np.ndarray:
    """The engine's, of every frame."""
    return np.concatenate([topic.milliseconds for topic in topics])


def percentiles(values: np.ndarray) -> Dict[str, float]:
    """Mean, p50, p90, p99 and the highest, rounded to 3 digits."""
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    found = {"mean": values.mean(), "p50": p50, "p90": p90, "p99": p99, "highest": values.max()}
    return {name: round(float(value), 3) for name, value in found.items()}
