# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""After the network: from logits to the mask in one pass over the frame.

The class of a pixel is the argmax of the logits upsampled bilinearly x8, then to the frame's size. Both steps together
mix at most three logits along each axis. So a row of the mask needs three rows of logits, each widened once, and no
class's logits are ever held at the frame's size. Threads take bands of rows; numba releases the GIL.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Tuple

import numpy as np
from numba import njit

from bisenet_ros.engines.bilinear import two_step_taps
from bisenet_ros.model.input_size import STRIDE

EXP_SQUARINGS = 10
"""exp(x) is computed as (1 + x / 2^n)^(2^n): it vectorizes, and is exact enough for a confidence of 8 bits."""
EXP_SCALE = np.float32(2.0**-EXP_SQUARINGS)

_threads = min(8, len(os.sched_getaffinity(0)))
_pool = ThreadPoolExecutor(max_workers=_threads, thread_name_prefix="mask_upsampling")
_cached_taps = lru_cache(maxsize=32)(two_step_taps)


def upsample_mask(logits: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """classes x h x w float32 logits to height x width uint8 ids; ties go to the lower id."""
    mask = np.empty(size, np.uint8)
    _in_bands(logits, mask, np.empty((0, 0), np.uint8))
    return mask


def upsample_mask_and_confidence(logits: np.ndarray, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """The same, and height x width uint8 confidence: the softmax probability of the class, 255 being certain."""
    mask, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    _in_bands(logits, mask, confidence)
    return mask, confidence


def _in_bands(logits: np.ndarray, mask: np.ndarray, confidence: np.ndarray) -> None:
    """Fills the outputs, a band of rows per thread; confidence is left out where it is empty."""
    height, width = mask.shape
    rows = _cached_taps(logits.shape[1], STRIDE * logits.shape[1], height)
    columns = _cached_taps(logits.shape[2], STRIDE * logits.shape[2], width)

    def run(band: slice) -> None:
        _segment_rows(logits, rows.start[band], rows.weights[:, band], *columns, mask[band], confidence[band])

    edges = np.linspace(0, height, _threads + 1).astype(int)
    list(_pool.map(run, (slice(*edge) for edge in zip(edges, edges[1:]))))


# "contract" lets a product and a sum become one instruction.
_compiled = njit(nogil=True, cache=True, fastmath={"contract"})


@_compiled
def _widen(row, x_start, x_weights, wide):
    """One row of logits, classes x w, widened to classes x width."""
    for c in range(row.shape[0]):
        for x in range(wide.shape[1]):
            i = x_start[x]
            wide[c, x] = row[c, i] * x_weights[0, x] + row[c, i + 1] * x_weights[1, x] + row[c, i + 2] * x_weights[2, x]


@_compiled
def _blend(upper, middle, lower, weights, c, values):
    """The upsampled logits of class c along one row of the frame."""
    for x in range(values.shape[0]):
        values[x] = upper[c, x] * weights[0] + middle[c, x] * weights[1] + lower[c, x] * weights[2]


@_compiled
def _segment_rows(logits, y_start, y_weights, x_start, x_weights, mask, confidence):
    classes, (height, width) = logits.shape[0], mask.shape
    wide = np.empty((3, classes, width), np.float32)  # row r of the logits is kept at r % 3
    values, best = np.empty(width, np.float32), np.empty(width, np.float32)
    total = np.empty(width, np.float32)
    class_id = np.empty(width, np.int32)  # as wide as the floats beside it, so that the loop vectorizes
    ready = 0
    for y in range(height):
        start = y_start[y]
        for row in range(max(ready, start), start + 3):
            _widen(logits[:, row], x_start, x_weights, wide[row % 3])
        ready = start + 3
        upper, middle, lower = wide[start % 3], wide[(start + 1) % 3], wide[(start + 2) % 3]
        _blend(upper, middle, lower, y_weights[:, y], 0, best)
        class_id[:] = 0
        for c in range(1, classes):
            _blend(upper, middle, lower, y_weights[:, y], c, values)
            for x in range(width):
                better = values[x] > best[x]
                best[x] = values[x] if better else best[x]
                class_id[x] = np.int32(c) if better else class_id[x]
        for x in range(width):
            mask[y, x] = class_id[x]
        if confidence.shape[0] == 0:
            continue
        total[:] = 0
        for c in range(classes):
            _blend(upper, middle, lower, y_weights[:, y], c, values)
            for x in range(width):
                term = max(1 + (values[x] - best[x]) * EXP_SCALE, np.float32(0))
                for _ in range(EXP_SQUARINGS):
                    term *= term
                total[x] += term
        for x in range(width):
            confidence[y, x] = np.uint8(255 / total[x] + np.float32(0.5))
