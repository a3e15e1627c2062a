"""What int8 costs: the masks of a network before and after quantization, on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Optional, Tuple

import numpy as np

from bisenet_ros.engines.engine import Engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from bisenet_ros.images.image_file import list_images, read_image
from bisenet_ros.images.label_file import read_label_file
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import Size, size_text


@dataclass(frozen=True)
class QuantizationCost:
    """Confusion matrices over all images.

    Attributes:
        agreement: int8 against fp32's masks as the ground truth.
        before, after: fp32 and int8 against the ground truth, where there is one.
    """

    agreement: np.ndarray
    before: Optional[np.ndarray]
    after: Optional[np.ndarray]

    def to_text(self) -> str:
        """In a line: mIoU before and after, or without ground truth how far the two agree."""
        same = f"{pixel_accuracy(self.agreement):.2%} of the pixels keep their class"
        if self.before is None or self.after is None:
            return f"{same}; mIoU of int8 with fp32's masks as the ground truth: {mean_iou(self.agreement):.2%}"
        before, after = mean_iou(self.before), mean_iou(self.after)
        return f"mIoU fp32 {before:.2%}, int8 {after:.2%} ({100 * (after - before):+.2f} points); {same}"


def quantization_cost(
    fp32: Engine, int8: Engine, images: Iterable[Tuple[np.ndarray, Optional[np.ndarray]]]
) -> QuantizationCost:
    """Segments each image with both engines.

    Args:
        images: H x W x 3 uint8 BGR, each with its H x W uint8 ids (255: no label), or all with None.

    Raises:
        BisenetError: there is ground truth, and no pixel of it is labeled.
    """
    classes = len(fp32.card.classes)
    agreement, before, after = np.zeros((3, classes, classes), np.int64)
    has_ground_truth = False
    for image, ground_truth in images:
        mask, quantized = fp32.segment(image), int8.segment(image)
        agreement += confusion_matrix(mask, quantized, classes=classes)
        if ground_truth is not None:
            has_ground_truth = True
            before += confusion_matrix(ground_truth, mask, classes=classes)
            after += confusion_matrix(ground_truth, quantized, classes=classes)
    if has_ground_truth and not before.any():
        raise BisenetError(f"expected label files with labels, got {IGNORE} (unlabeled) in every pixel of all of them")
    return QuantizationCost(agreement, *((before, after) if has_ground_truth else (None, None)))


class LabeledImages:
    """The images of a folder, with or without the label file of each; iterated as often as needed.

    Each is H x W x 3 uint8 BGR with its H x W uint8 ids (255: unlabeled), or with None.

    Args:
        folder: the images.
        ground_truth: has a PNG of ids for each image, NAME.png for NAME.jpg.
        classes: how many classes the ids may be of.

    Raises:
        BisenetError: there are no images; while iterating: an image or its label file cannot be used.
    """

    def __init__(self, folder: Path, ground_truth: Optional[Path], *, classes: int) -> None:
        self._paths = list_images(folder)
        self._ground_truth = ground_truth
        self._classes = classes

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[Tuple[np.ndarray, Optional[np.ndarray]]]:
        for path in self._paths:
            image = read_image(path)
            yield image, self._ids(path, (image.shape[0], image.shape[1]))

    def check(self) -> None:
        """Reads everything, so that what cannot be used is told before minutes are spent."""
        for _ in self:
            pass

    def _ids(self, image: Path, size: Size) -> Optional[np.ndarray]:
        if self._ground_truth is None:
            return None
        path = self._ground_truth / f"{image.stem}.png"
        if not path.is_file():
            raise BisenetError(f"expected a label file at {path}, found none; every image needs one of its name")
        ids = read_label_file(path)
        if ids.shape != size:
            raise BisenetError(
                f"expected {path} to have its image's size, {size_text(size)}, got {size_text(ids.shape)}"
            )
        unknown = np.setdiff1d(ids, [*range(self._classes), IGNORE])
        if unknown.size:
            raise BisenetError(
                f"expected {path} to hold ids 0 to {self._classes - 1}, and {IGNORE} where it is unlabeled, got "
                f"{unknown.tolist()}; use the ids of the model's classes"
            )
        return ids
