# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Masks drawn in colors, in one pass over the pixels; numba releases the GIL."""

from functools import lru_cache
from typing import Optional

import numpy as np

from bisenet_ros.files.compiled_function import compiled


def paint(mask: np.ndarray, color_table: np.ndarray, *, out: Optional[np.ndarray] = None) -> np.ndarray:
    """H x W uint8 ids and 256 x 3 uint8 colors to H x W x 3 uint8, new or in `out`."""
    colors = np.empty((*mask.shape, 3), np.uint8) if out is None else out
    _paint(np.ascontiguousarray(mask), np.ascontiguousarray(color_table), colors)
    return colors


def blend(
    frame: np.ndarray, mask: np.ndarray, color_table: np.ndarray, *, opacity: float, out: Optional[np.ndarray] = None
) -> np.ndarray:
    """The frame with the colors of its mask laid over it.

    Args:
        frame: H x W x 3 uint8 BGR.
        mask: H x W uint8 ids.
        color_table: 256 x 3 uint8 RGB; where an id is black it has no color, and the frame stays as it is.
        opacity: 0 (only the frame) to 1 (only the colors).
        out: H x W x 3 uint8 for the result; by default a new array.

    Returns:
        H x W x 3 uint8 BGR.
    """
    overlay = np.empty(frame.shape, np.uint8) if out is None else out
    mixtures = _mixtures(color_table.tobytes(), float(opacity))
    _blend(np.ascontiguousarray(frame), np.ascontiguousarray(mask), mixtures, overlay)
    return overlay


@lru_cache(maxsize=8)
def _mixtures(color_table: bytes, opacity: float) -> np.ndarray:
    """256 ids x 3 channels (BGR) x 256 values of the frame, to the value of the overlay."""
    colors = np.frombuffer(color_table, np.uint8).reshape(256, 3, 1)[:, ::-1]
    share = np.where(colors.any(axis=1, keepdims=True), opacity, 0)
    return np.rint((1 - share) * np.arange(256) + share * colors).astype(np.uint8)


@compiled()
def _paint(mask, color_table, colors):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            for channel in range(3):
                colors[y, x, channel] = color_table[mask[y, x], channel]


@compiled()
def _blend(frame, mask, mixtures, overlay):
    for y in range(mask.shape[0]):
        for x in range(mask.shape[1]):
            for channel in range(3):
                overlay[y, x, channel] = mixtures[mask[y, x], channel, frame[y, x, channel]]
