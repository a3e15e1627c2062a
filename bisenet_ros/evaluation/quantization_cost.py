"""What int8 costs: the labels of a network before and after quantization, on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Optional, Tuple

import numpy as np

from bisenet_ros.engines.engine import Engine
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import size_text


@dataclass(frozen=True)
class QuantizationCost:
    """Confusion matrices over all images.

    Attributes:
        agreement: int8 against fp32's labels as the truth.
        before, after: fp32 and int8 against the truth, where there is one.
    """

    agreement: np.ndarray
    before: Optional[np.ndarray]
    after: Optional[np.ndarray]

    def to_text(self) -> str:
        """In a line: mIoU before and after, or without truth how far the two agree."""
        same = f"{pixel_accuracy(self.agreement):.2%} of the pixels keep their label"
        if self.before is None or self.after is None:
            return f"{same}; mIoU of int8 with fp32's labels as the truth: {mean_iou(self.agreement):.2%}"
        before, after = mean_iou(self.before), mean_iou(self.after)
        return f"mIoU fp32 {before:.2%}, int8 {after:.2%} ({100 * (after - before):+.2f} points); {same}"


def quantization_cost(
    fp32: Engine, int8: Engine, images: Iterable[Tuple[np.ndarray, Optional[np.ndarray]]]
) -> QuantizationCost:
    """Segments each image with both engines.

    Args:
        images: H x W x 3 uint8 BGR, each with its H x W uint8 ids (255: no label), or all with None.

    Raises:
        ValueError: there is truth, and none of it has a label.
    """
    classes = len(fp32.card.classes)
    agreement, before, after = np.zeros((3, classes, classes), np.int64)
    has_truth = False
    for image, truth in images:
        labels, quantized = fp32.segment(image), int8.segment(image)
        agreement += confusion_matrix(labels, quantized, classes=classes)
        if truth is not None:
            has_truth = True
            before += confusion_matrix(truth, labels, classes=classes)
            after += confusion_matrix(truth, quantized, classes=classes)
    if has_truth and not before.any():
        raise ValueError(f"expected label images with labels, got {IGNORE} (no label) in every pixel of all of them")
    return QuantizationCost(agreement, *((before, after) if has_truth else (None, None)))


def read_label_image(path: Path, *, size: Tuple[int, int], classes: int) -> np.ndarray:
    """H x W uint8 ids, 255 where there is no label.

    Raises:
        ValueError: the file is no such image, has another size than (height, width), or other ids.
    """
    import cv2

    if not path.is_file():
        raise ValueError(f"expected a label image at {path}, found none; every image needs one of its name")
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None:
        raise ValueError(f"{path} cannot be read as an image; make it again")
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(
            f"expected {path} to have one channel of uint8 class ids, got {labels.shape} {labels.dtype}; colors and "
            "palettes are not ids"
        )
    if labels.shape != size:
        raise ValueError(f"expected {path} to have its image's size, {size_text(size)}, got {size_text(labels.shape)}")
    ids = np.unique(labels)
    if np.any((ids >= classes) & (ids != IGNORE)):
        raise ValueError(
            f"expected {path} to hold ids 0 to {classes - 1}, and {IGNORE} where there is no label, got "
            f"{ids.tolist()}; use the ids of the model's classes"
        )
    return labels
