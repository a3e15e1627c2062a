"""What `bisenet evaluate` finds: the scores of a model on a split, and how they were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.model.class_map import ClassMap


@dataclass(frozen=True)
class FrameScore:
    """One frame's place in the data set, its name and its own mIoU, 0 to 1."""

    index: int
    name: str
    miou: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of a whole split, all from one confusion matrix.

    Attributes:
        labels: the classes.
        confusion: classes x classes int64 pixels, rows the truth, columns the prediction.
        frames: every frame with a label, the worst first.
        protocol: how it was measured, for people: names and values.
        tricks: the test-time tricks, such as "flip"; None is the paper's protocol.
    """

    labels: ClassMap
    confusion: np.ndarray
    frames: List[FrameScore]
    protocol: Mapping[str, str]
    tricks: Optional[str]

    @property
    def miou(self) -> float:
        return mean_iou(self.confusion)

    @property
    def pixel_accuracy(self) -> float:
        return pixel_accuracy(self.confusion)

    @property
    def iou(self) -> Dict[str, float]:
        """Per class; NaN for a class that neither side has."""
        return dict(zip(self.labels.names, class_iou(self.confusion).tolist()))

    @property
    def share(self) -> Dict[str, float]:
        """Of each class in the labeled pixels."""
        pixels = self.confusion.sum(axis=1)
        return dict(zip(self.labels.names, (pixels / max(1, pixels.sum())).tolist()))

    @property
    def headline(self) -> str:
        """The scores in one line that never keeps the tricks to itself."""
        scores = f"mIoU {100 * self.miou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"
        return f"{scores}, with {self.tricks} (the paper has no test-time tricks)" if self.tricks else scores

    def to_dict(self) -> Dict[str, Any]:
        """For JSON: shares of 1, None where there is nothing to score."""
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "iou": {name: _number(iou) for name, iou in self.iou.items()},
            "tricks": self.tricks,
            "protocol": dict(self.protocol),
            "confusion": self.confusion.tolist(),
            "frames": {frame.name: _number(frame.miou) for frame in self.frames},
        }


def _number(score: float) -> Optional[float]:
    return round(score, 6) if math.isfinite(score) else None
