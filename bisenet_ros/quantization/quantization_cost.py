# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What int8 costs and gains: masks and times of a network before and after quantization, on the same frames."""

import time
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np

from bisenet_ros.engines import Engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix, mean_iou
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.quantization.frame_source import LabeledFrame


@dataclass(frozen=True)
class QuantizationCost:
    """What int8 costs against fp32.

    Attributes:
        frames: how many were segmented.
        same_class: share of the pixels of all frames that keep their class.
        miou: of fp32 and of int8, 0 to 1, over the classes that the ground truth has, where there is any.
        labeled_frames: how many these are.
        worst_class: the class that loses most of its IoU, and how many points.
        time_ratio: int8's median time of a whole frame by fp32's; the two took turns.
    """

    frames: int
    same_class: float
    miou: Optional[Tuple[float, float]]
    labeled_frames: int
    time_ratio: float
    worst_class: Optional[Tuple[str, float]] = None

    @property
    def loss_points(self) -> Optional[float]:
        """Points of mIoU that int8 loses, negative where it gains."""
        return 100 * (self.miou[0] - self.miou[1]) if self.miou else None

    def to_dict(self) -> Dict[str, Any]:
        """The cost as an entry of a model card."""
        values: Dict[str, Any] = {"frames": self.frames, "same_class": round(self.same_class, 5)}
        if self.miou:
            values["labeled_frames"] = self.labeled_frames
            values["miou"] = {name: round(miou, 5) for name, miou in zip(("fp32", "int8"), self.miou)}
        if self.worst_class:
            name, points = self.worst_class
            values["worst_class"] = {"name": name, "loss_points": round(points, 2)}
        return values

    def __str__(self) -> str:
        miou = ""
        if self.miou:
            fp32, int8 = self.miou
            miou = f"mIoU fp32 {fp32:.2%}, int8 {int8:.2%} ({100 * (int8 - fp32):+.2f} points)"
            miou += f" on the {self.labeled_frames} that are labeled" if self.labeled_frames < self.frames else ""
            miou += ", over the classes that the ground truth has; "
        if self.worst_class and self.worst_class[1] > 0:
            miou += "{} loses most, {:.2f} points of IoU; ".format(*self.worst_class)
        same = f"{self.same_class:.2%} of the pixels keep their class"
        return f"{miou}{same}; a frame takes {self.time_ratio:.2f} of fp32's time here"


def quantization_cost(fp32: Engine, int8: Engine, frames: Iterable[LabeledFrame]) -> QuantizationCost:
    """Segments frames with both engines in turns.

    Raises BisenetError where there is no frame, or ground truth without a labeled pixel.
    """
    classes = len(fp32.card.classes)
    before, after = np.zeros((2, classes, classes), np.int64)
    same: List[float] = []
    pixels: List[int] = []
    times: List[Tuple[float, float]] = []
    has_ground_truth, labeled_frames = False, 0
    for frame, ground_truth in frames:
        start = time.perf_counter()
        mask = fp32.segment(frame)
        between = time.perf_counter()
        quantized = int8.segment(frame)
        times.append((between - start, time.perf_counter() - between))
        same.append(share_of_same_class(mask, quantized))
        pixels.append(mask.size)
        if ground_truth is not None:
            has_ground_truth = True
            labeled_frames += bool((ground_truth != IGNORE).any())
            before += confusion_matrix(ground_truth, mask, classes=classes)
            after += confusion_matrix(ground_truth, quantized, classes=classes)
    if not same:
        raise BisenetError("expected frames to compare int8 with fp32 on, got none")
    if has_ground_truth and not before.any():
        raise BisenetError(f"expected ground truth with labels, got {IGNORE} (unlabeled) in every pixel of all of it")
    fp32_time, int8_time = np.median(times, axis=0)
    labeled = np.flatnonzero(before.sum(axis=1)).tolist()  # the same classes of both, also where one predicts more
    miou = (mean_iou(before, scored=labeled), mean_iou(after, scored=labeled)) if has_ground_truth else None
    same_class = float(np.average(same, weights=pixels))
    losses = {fp32.card.classes[i].name: 100 * (class_iou(before)[i] - class_iou(after)[i]) for i in labeled}
    worst = max(losses.items(), key=lambda it: it[1], default=None)
    return QuantizationCost(len(same), same_class, miou, labeled_frames, int8_time / fp32_time, worst)


def share_of_same_class(mask: np.ndarray, other: np.ndarray) -> float:
    """The share of the pixels that have the same class in two masks of one size."""
    return float(np.mean(mask == other))
