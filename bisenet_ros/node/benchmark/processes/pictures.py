"""Pictures for the cameras: no two alike, and as hard to compress as a street."""

from __future__ import annotations

from typing import List, Tuple

import cv2
import numpy as np

COUNT = 8


def make_pictures(size: Tuple[int, int]) -> List[np.ndarray]:
    """A few frames of H x W x 3 uint8 BGR: blurred patches of color with some noise."""
    height, width = size
    random = np.random.default_rng(0)
    noise = random.integers(0, 16, (height, width, 3), np.uint8)
    pictures = []
    for _ in range(COUNT):
        patches = random.integers(0, 240, (max(2, height // 64), max(2, width // 64), 3), np.uint8)
        pictures.append(cv2.add(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), noise))
    return pictures
