"""After the network: logits to labels in one fused pass over the frame.

The label of a pixel is the argmax of the logits upsampled bilinearly x8, then to the frame's size. Both steps together
mix at most three logits along each axis, so that a row of the frame comes from three rows of logits that were widened
before; no plane of a class is ever held at the frame's size. Bands of rows go to threads: numba lets go of the GIL.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Tuple

import numpy as np
from numba import njit

from bisenet_ros.engines.bilinear import two_step_taps
from bisenet_ros.model.input_size import STRIDE

# exp(x) is taken as (1 + x / 2^n)^(2^n): it vectorizes, and is exact enough for a confidence of 8 bits.
EXP_STEPS = 10
EXP_SCALE = np.float32(2.0**-EXP_STEPS)

_threads = min(8, len(os.sched_getaffinity(0)))
_pool = ThreadPoolExecutor(max_workers=_threads, thread_name_prefix="label_upsampling")
_cached_taps = lru_cache(maxsize=32)(two_step_taps)


def upsample_labels(logits: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """classes x h x w float32 logits to height x width uint8 labels; ties go to the lower id."""
    labels = np.empty(size, np.uint8)
    _in_bands(logits, labels, np.empty((0, 0), np.uint8))
    return labels


def upsample_labels_and_confidence(logits: np.ndarray, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """The same, and height x width uint8 confidence: the label's softmax probability, 255 being certain."""
    labels, confidence = np.empty(size, np.uint8), np.empty(size, np.uint8)
    _in_bands(logits, labels, confidence)
    return labels, confidence


def _in_bands(logits: np.ndarray, labels: np.ndarray, confidence: np.ndarray) -> None:
    """Fills the outputs, a band of rows per thread; an empty confidence is not asked for."""
    height, width = labels.shape
    rows = _cached_taps(logits.shape[1], STRIDE * logits.shape[1], height)
    columns = _cached_taps(logits.shape[2], STRIDE * logits.shape[2], width)

    def run(band: slice) -> None:
        _label_rows(logits, rows.start[band], rows.weights[:, band], *columns, labels[band], confidence[band])

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
def _label_rows(logits, y_start, y_weights, x_start, x_weights, labels, confidence):
    classes, (height, width) = logits.shape[0], labels.shape
    wide = np.empty((3, classes, width), np.float32)  # row r of the logits is kept at r % 3
    values, best = np.empty(width, np.float32), np.empty(width, np.float32)
    total = np.empty(width, np.float32)
    label = np.empty(width, np.int32)  # as wide as the floats it goes with, so that the loop vectorizes
    ready = 0
    for y in range(height):
        start = y_start[y]
        for row in range(max(ready, start), start + 3):
            _widen(logits[:, row], x_start, x_weights, wide[row % 3])
        ready = start + 3
        upper, middle, lower = wide[start % 3], wide[(start + 1) % 3], wide[(start + 2) % 3]
        _blend(upper, middle, lower, y_weights[:, y], 0, best)
        label[:] = 0
        for c in range(1, classes):
            _blend(upper, middle, lower, y_weights[:, y], c, values)
            for x in range(width):
                better = values[x] > best[x]
                best[x] = values[x] if better else best[x]
                label[x] = np.int32(c) if better else label[x]
        for x in range(width):
            labels[y, x] = label[x]
        if confidence.shape[0] == 0:
            continue
        total[:] = 0
        for c in range(classes):
            _blend(upper, middle, lower, y_weights[:, y], c, values)
            for x in range(width):
                share = max(1 + (values[x] - best[x]) * EXP_SCALE, np.float32(0))
                for _ in range(EXP_STEPS):
                    share *= share
                total[x] += share
        for x in range(width):
            confidence[y, x] = np.uint8(255 / total[x] + np.float32(0.5))
