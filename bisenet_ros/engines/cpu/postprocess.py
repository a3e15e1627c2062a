# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""After the network: from logits to the mask in one pass over the frame.

The class of a pixel is the argmax of the logits upsampled bilinearly x8, then to the frame's size. Both steps together
mix at most three logits along each axis. So a row of the mask needs three rows of logits, each widened once, and no
class's logits are ever held at the frame's size. Threads take bands of rows; numba releases the GIL.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Dict, Optional

import numpy as np
from numba import njit

from bisenet_ros.engines.bilinear import two_step_taps
from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.files.compiled_function import compiled
from bisenet_ros.model.input_size import STRIDE, Size

EXP_LINEAR, EXP_SQUARE = np.float32(0.993), np.float32(0.4296)
"""exp(x) is computed as (1 + 0.993 u + 0.4296 u^2)^16 with u = x / 16, for x of 0 and below.

It vectorizes. The factors were fitted: a confidence is off by at most 0.23 of 255, before it is rounded.
"""
EXP_SCALE, EXP_LOWEST = np.float32(1 / 16), np.float32(-1.156)
"""The polynomial falls toward 0 down to u = -1.156, and is 0.0000002 there after its power; below, it would rise."""

_threads = min(8, usable_cores())
_pool = ThreadPoolExecutor(max_workers=_threads, thread_name_prefix="mask_upsampling")
_cached_taps = lru_cache(maxsize=32)(two_step_taps)


def upsample_logits(logits: np.ndarray, size: Size, *, confidence: bool = False) -> Segmentation:
    """classes x h x w float32 logits to the mask of a frame of `size` (height, width); ties go to the lower id.

    With `confidence` also the softmax probability of the class, height x width uint8, 255 being certain.
    """
    found = Segmentation(np.empty(size, np.uint8), np.empty(size, np.uint8) if confidence else None)
    _fill_in_bands(logits, *found)
    return found


def _fill_in_bands(logits: np.ndarray, mask: np.ndarray, confidence: Optional[np.ndarray]) -> None:
    """Fills the outputs, a band of rows per thread."""
    height, width = mask.shape
    rows = _cached_taps(logits.shape[1], STRIDE * logits.shape[1], height)
    columns = _cached_taps(logits.shape[2], STRIDE * logits.shape[2], width)

    def run(band: slice) -> None:
        certain = None if confidence is None else confidence[band]
        _segment_rows(logits, rows.start[band], rows.weights[:, band], *columns, mask[band], certain)

    edges = np.linspace(0, height, _threads + 1).astype(int)
    list(_pool.map(run, (slice(*edge) for edge in zip(edges, edges[1:]))))


# "contract" lets a product and a sum become one instruction. NumPy's error model needs no check for a division by 0.
# A number of Python beside a float32 would make numba compute in 64 bits.
OPTIONS: Dict[str, Any] = {"fastmath": {"contract"}, "error_model": "numpy"}


@njit(**OPTIONS)
def _widen(row, x_start, x_weights, wide):
    """One row of logits, classes x w, widened to classes x width."""
    for c in range(row.shape[0]):
        for x in range(wide.shape[1]):
            i = x_start[x]
            wide[c, x] = row[c, i] * x_weights[0, x] + row[c, i + 1] * x_weights[1, x] + row[c, i + 2] * x_weights[2, x]


@compiled(**OPTIONS)
def _segment_rows(logits, y_start, y_weights, x_start, x_weights, mask, confidence):
    classes, (height, width) = logits.shape[0], mask.shape
    wide = np.empty((3, classes, width), np.float32)  # row r of the logits is kept at r % 3
    values = None if confidence is None else np.empty((classes, width), np.float32)
    best, total = np.empty(width, np.float32), np.empty(width, np.float32)
    class_id = np.empty(width, np.int32)  # as wide as the floats beside it, so that the loop vectorizes
    y_weights = y_weights * EXP_SCALE  # a power of two, so that the comparisons are the same
    ready = 0
    for y in range(height):
        start = y_start[y]
        for row in range(max(ready, start), start + 3):
            _widen(logits[:, row], x_start, x_weights, wide[row % 3])
        ready = start + 3
        upper, middle, lower = wide[start % 3], wide[(start + 1) % 3], wide[(start + 2) % 3]
        best[:] = -np.inf
        class_id[:] = 0
        for c in range(classes):
            _keep_best(upper, middle, lower, y_weights[:, y], c, best, class_id, values)
        for x in range(width):
            mask[y, x] = class_id[x]
        if confidence is not None:
            _add_exponentials(values, best, total)
            for x in range(width):
                confidence[y, x] = np.int32(np.float32(255) / total[x] + np.float32(0.5))


@njit(**OPTIONS)
def _keep_best(upper, middle, lower, weights, c, best, class_id, values):
    """Keeps class c where its logits, upsampled along one row of the frame, are the highest so far."""
    w0, w1, w2 = weights[0], weights[1], weights[2]
    for x in range(best.shape[0]):
        value = upper[c, x] * w0 + middle[c, x] * w1 + lower[c, x] * w2
        if values is not None:
            values[c, x] = value
        better = value > best[x]
        best[x] = value if better else best[x]
        class_id[x] = np.int32(c) if better else class_id[x]


@njit(**OPTIONS)
def _add_exponentials(values, best, total):
    """The softmax's denominator where its numerator is 1: exp(value - best) of all classes along one row."""
    total[:] = 0
    for c in range(values.shape[0]):
        for x in range(total.shape[0]):
            u = max(values[c, x] - best[x], EXP_LOWEST)
            term = np.float32(1) + u * (EXP_LINEAR + u * EXP_SQUARE)
            term *= term
            term *= term
            term *= term
            total[x] += term * term
