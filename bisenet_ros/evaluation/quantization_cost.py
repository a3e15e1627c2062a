# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What int8 costs: the masks of a network before and after quantization, on the same images."""

from pathlib import Path
from typing import Iterable, Iterator, Optional, Tuple

import numpy as np

from bisenet_ros.engines.engine import Engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.ground_truth import read_ground_truth
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from bisenet_ros.images.image_file import list_images, read_image
from bisenet_ros.model.class_map import IGNORE


def quantization_cost(fp32: Engine, int8: Engine, images: Iterable[Tuple[np.ndarray, Optional[np.ndarray]]]) -> str:
    """In a line: mIoU before and after, or without ground truth how far the masks of the two engines agree.

    The images are H x W x 3 uint8 BGR, each with its H x W uint8 ids (255: no label), or all with None. Raises
    BisenetError where there is ground truth, and no pixel of it is labeled.
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
    same = f"{pixel_accuracy(agreement):.2%} of the pixels keep their class"
    if not has_ground_truth:
        return f"{same}; mIoU of int8 with fp32's masks as the ground truth: {mean_iou(agreement):.2%}"
    if not before.any():
        raise BisenetError(f"expected label files with labels, got {IGNORE} (unlabeled) in every pixel of all of them")
    miou, quantized_miou = mean_iou(before), mean_iou(after)
    return f"mIoU fp32 {miou:.2%}, int8 {quantized_miou:.2%} ({100 * (quantized_miou - miou):+.2f} points); {same}"


class LabeledImages:
    """The images of a folder, H x W x 3 uint8 BGR, each with the ids of its label file or None, as often as needed.

    `ground_truth` has a PNG of ids for each image, NAME.png for NAME.jpg. Raises BisenetError where there is no image,
    and while iterating where an image or its label file cannot be used.
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
            if self._ground_truth is None:
                yield image, None
                continue
            file = self._ground_truth / f"{path.stem}.png"
            if not file.is_file():
                raise BisenetError(f"expected a label file at {file}, found none; every image needs one of its name")
            yield image, read_ground_truth(file, classes=self._classes, size=(image.shape[0], image.shape[1]))

    def check(self) -> None:
        """Reads everything, so that what cannot be used is told before minutes are spent."""
        for _ in self:
            pass
