# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Copy-paste: the objects of one frame are pasted into another.

After Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation" (CVPR 2021).
Here all objects of some classes are pasted, since masks do not tell one from the next, and each at the height and of
the size that it had in its own frame: cameras on vehicles see the road under one perspective.
"""

from dataclasses import dataclass
from typing import Sequence

import cv2
import numpy as np

from bisenet_training.data.segmentation_dataset import Pixels
from bisenet_training.data.transforms import resize_image, resize_target


@dataclass(frozen=True)
class CopyPaste:
    """Pastes another frame's pixels of some classes into a frame.

    The other frame is mirrored by chance, and shifted sideways by up to half of its width.

    Attributes:
        class_ids: train ids of the classes whose pixels are pasted.
    """

    class_ids: Sequence[int]

    def __call__(self, frame: Pixels, other: Pixels, rng: np.random.Generator) -> Pixels:
        """The frame with what is pasted, as new arrays; draws from `rng`.

        Args:
            frame: H x W x 3 uint8 BGR, and its target, H x W uint8 train ids.
            other: likewise, of any size; it is resized to the frame's.
        """
        image, target = (pixels.copy() for pixels in frame)
        pasted, ids = other
        if ids.shape != target.shape:
            pasted, ids = resize_image(pasted, target.shape), resize_target(ids, target.shape)
        if rng.random() < 0.5:
            pasted, ids = pasted[:, ::-1], ids[:, ::-1]
        width = target.shape[1]
        shift = int(rng.integers(-(width // 2), width // 2 + 1))
        here = slice(max(0, shift), width + min(0, shift))
        there = slice(max(0, -shift), width + min(0, -shift))
        chosen = self._mask(ids[:, there])
        image[:, here] = cv2.copyTo(pasted[:, there], chosen, image[:, here])
        target[:, here] = cv2.copyTo(ids[:, there], chosen, target[:, here])
        return image, target

    def _mask(self, ids: np.ndarray) -> np.ndarray:
        """Marks the pixels whose class is pasted: H x W uint8, 255 there, else 0."""
        return cv2.LUT(ids, np.isin(np.arange(256), self.class_ids).astype(np.uint8) * 255)
