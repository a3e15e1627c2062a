# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix of masks, and the scores read from it."""

from typing import Optional, Sequence

import numpy as np

from bisenet_ros.model.class_map import IGNORE


def confusion_matrix(ground_truth: np.ndarray, mask: np.ndarray, *, classes: int) -> np.ndarray:
    """classes x classes int64 counts, rows the ground truth, columns the prediction; ground truth 255 is left out.

    Both are H x W uint8. Raises ValueError where they differ in size, or an id is no class.
    """
    if ground_truth.shape != mask.shape:
        raise ValueError(f"ground truth and mask must be of one size, got {ground_truth.shape} and {mask.shape}")
    valid = ground_truth != IGNORE
    pairs = ground_truth[valid].astype(np.int64), mask[valid].astype(np.int64)
    for what, ids in zip(("ground truth", "mask"), pairs):
        if ids.size and ids.max() >= classes:
            raise ValueError(f"{what} must hold ids 0 to {classes - 1}, got {ids.max()}")
    return np.bincount(classes * pairs[0] + pairs[1], minlength=classes**2).reshape(classes, classes)


def class_iou(confusion: np.ndarray, *, scored: Optional[Sequence[int]] = None) -> np.ndarray:
    """float64 intersection over union of each class; NaN for a class that neither side has, or that is not `scored`."""
    intersection = np.diag(confusion).astype(float)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - intersection
    counted = union > 0
    if scored is not None:
        counted &= np.isin(np.arange(len(confusion)), scored)
    return np.divide(intersection, union, out=np.full_like(intersection, np.nan), where=counted)


def mean_iou(confusion: np.ndarray, *, scored: Optional[Sequence[int]] = None) -> float:
    """The mean of `class_iou` over the classes that occur; NaN when none does."""
    iou = class_iou(confusion, scored=scored)
    return float(np.nanmean(iou)) if np.isfinite(iou).any() else float("nan")


def pixel_accuracy(confusion: np.ndarray) -> float:
    """The share of the labeled pixels that are right, the paper's pixAcc; NaN when there are none."""
    pixels = confusion.sum()
    return float(np.trace(confusion) / pixels) if pixels else float("nan")
