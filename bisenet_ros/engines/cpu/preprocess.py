# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Before the network: resize and normalize a frame in one pass, without a float copy of its full size."""

from functools import lru_cache
from typing import Sequence, Tuple

import numpy as np

from bisenet_ros.engines.bilinear import neighbors
from bisenet_ros.files.compiled_function import compiled

_cached_neighbors = lru_cache(maxsize=32)(neighbors)


def normalize_frame(
    frame: np.ndarray, size: Tuple[int, int], *, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """H x W x 3 uint8 BGR (rows may be padded) to 1 x 3 x height x width float32 normalized RGB."""
    image = np.empty((1, 3, *size), np.float32)
    scale = (1 / (255 * np.asarray(std))).astype(np.float32)
    offset = (-np.asarray(mean) / np.asarray(std)).astype(np.float32)
    rows, columns = (_cached_neighbors(have, want) for have, want in zip(frame.shape, size))
    flat = np.ascontiguousarray(frame.reshape(frame.shape[0], -1))
    _resize_and_normalize(flat, *rows, *columns, scale, offset, image[0])
    return image


@compiled(fastmath={"contract"})
def _resize_and_normalize(frame, top, bottom, down, left, right, along, scale, offset, image):
    row = np.empty(frame.shape[1], np.float32)  # B, G, R, B, G, R, ...
    for y in range(image.shape[1]):
        upper, lower, share = frame[top[y]], frame[bottom[y]], down[y]
        for i in range(row.shape[0]):
            row[i] = np.float32(upper[i]) + (np.float32(lower[i]) - np.float32(upper[i])) * share
        for c in range(3):
            bgr = np.uint32(2 - c)
            for x in range(image.shape[2]):
                a, b = row[3 * left[x] + bgr], row[3 * right[x] + bgr]
                image[c, y, x] = (a + (b - a) * along[x]) * scale[c] + offset[c]
