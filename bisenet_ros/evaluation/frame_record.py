# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The measurements of a segmented frame, and their file: one line of JSON per frame."""

import json
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np

from bisenet_ros.bags.bag_images import BagFrame
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.metrics import confusion_matrix
from bisenet_ros.evaluation.temporal_consistency import TemporalConsistency

RECORDS = "frames.jsonl"
"""The records' file in a report's folder."""
FrameKey = Tuple[str, str, int]
"""Bag, topic, and the frame's number in the topic."""


@dataclass(frozen=True)
class FrameRecord:
    """The measurements of one frame; all of them are exact after a round trip through the file.

    Attributes:
        index: its number among the topic's image messages, from 0; skipped messages count too.
        shares: of each class among the pixels; they sum to 1.
        change: against the frame before, see `temporal_consistency.Change`; None where there was nothing to compare.
        confidence: mean over the pixels, 0 to 1.
        engine_ms: milliseconds in `Engine.segment`.
        confusion: the cells above 0 of the confusion matrix, as (true class, predicted class, pixels); None without
            ground truth.
        ground_truth: the name of its file of ground truth.
    """

    bag: str
    topic: str
    index: int
    stamp_ns: int
    width: int
    height: int
    shares: List[float]
    change: Optional[List[List[int]]]
    confidence: float
    engine_ms: float
    confusion: Optional[List[List[int]]] = None
    ground_truth: Optional[str] = None

    @property
    def key(self) -> FrameKey:
        return self.bag, self.topic, self.index

    @property
    def place(self) -> Dict[str, Any]:
        """Where the frame is, for JSON."""
        return {"bag": self.bag, "topic": self.topic, "index": self.index, "stamp_ns": self.stamp_ns}

    @property
    def title(self) -> str:
        """The frame as text, counted from 1."""
        return f"frame {self.index + 1} of {self.bag} {self.topic}, stamp {self.stamp_ns} ns"

    @property
    def changed(self) -> Optional[float]:
        """The share of the compared pixels whose class changed, 0 to 1; 1 - the temporal consistency."""
        compared = sum(count for _, count, _ in self.change or [])
        return sum(count for _, _, count in self.change or []) / compared if compared else None

    def dense_confusion(self) -> np.ndarray:
        """classes x classes int64, rows the ground truth; all zero without ground truth."""
        matrix = np.zeros((len(self.shares), len(self.shares)), np.int64)
        for true_class, predicted, pixels in self.confusion or []:
            matrix[true_class, predicted] = pixels
        return matrix


class RecordFile:
    """Frame records in a file, read as a stream, as often as needed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, record: FrameRecord) -> None:
        """Adds a record to the file; raises OSError where it cannot be written."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record), separators=(",", ":"), allow_nan=False) + "\n")

    def __iter__(self) -> Iterator[FrameRecord]:
        """Reads the records in order; raises BisenetError, with the line's number, or OSError."""
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    record = FrameRecord(**json.loads(line))
                    _check_types(record)
                except (ValueError, TypeError, RecursionError) as error:
                    place = f"{self.path}, line {number}"
                    raise BisenetError(f"{place}: expected a frame's record in JSON, got {line[:80]!r}") from error
                yield record


def _check_types(record: FrameRecord) -> None:
    """Raises TypeError or ValueError where a value has another type, or an id is that of no class."""
    classes, confusion = len(record.shares), record.confusion or []
    counts = [*(record.change or []), *confusion]
    whole = [record.index, record.stamp_ns, record.width, record.height, *chain.from_iterable(counts)]
    real = [*record.shares, record.confidence, record.engine_ms]
    if not all(type(value) is int and abs(value) < 2**63 for value in whole):
        raise TypeError("expected whole numbers")
    if not all(type(value) in (int, float) for value in real) or not isinstance(record.bag + record.topic, str):
        raise TypeError("expected numbers, and names")
    if any(len(count) != 3 for count in counts):
        raise ValueError("expected ids of classes and numbers of pixels")
    ids = [*(count[0] for count in counts), *(true_and_predicted[1] for true_and_predicted in confusion)]
    if not all(0 <= value < classes for value in ids):
        raise ValueError("expected ids of classes")


class FrameMeasurer:
    """Measures the frames of one topic in their order; it keeps the frame before for the temporal consistency."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._consistency = TemporalConsistency(classes)

    def measure(
        self,
        frame: BagFrame,
        mask: np.ndarray,
        confidence: np.ndarray,
        *,
        bag: str,
        engine_ms: float,
        ground_truth: Optional[np.ndarray] = None,
    ) -> FrameRecord:
        """The record of the next frame, of its mask and confidence as the engine returns them.

        `ground_truth` is H x W uint8 ids, 255 where there is none. Raises ValueError where the mask has another size
        than the frame or the ground truth, or ids that are no class.
        """
        if mask.shape != frame.pixels.shape[:2]:
            raise ValueError(f"expected a mask of the frame's size {frame.pixels.shape[:2]}, got {mask.shape}")
        counts = cv2.calcHist([mask], [0], None, [256], [0, 256]).ravel()
        if counts[self._classes :].any():
            raise ValueError(f"a mask must hold ids 0 to {self._classes - 1}, got {np.flatnonzero(counts)[-1]}")
        confusion = None
        if ground_truth is not None:
            matrix = confusion_matrix(ground_truth, mask, classes=self._classes)
            confusion = [[int(row), int(column), int(matrix[row, column])] for row, column in zip(*np.nonzero(matrix))]
        height, width = mask.shape
        return FrameRecord(
            bag=bag,
            topic=frame.topic,
            index=frame.index,
            stamp_ns=frame.stamp_ns,
            width=width,
            height=height,
            shares=[float(count) / mask.size for count in counts[: self._classes]],
            change=self._consistency.compare(frame.pixels, mask, stamp_ns=frame.stamp_ns),
            confidence=cv2.mean(confidence)[0] / 255,
            engine_ms=engine_ms,
            confusion=confusion,
        )
