# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Masks drawn in colors."""

import cv2
import numpy as np


def paint(mask: np.ndarray, color_table: np.ndarray) -> np.ndarray:
    """H x W uint8 ids and 256 x 3 uint8 colors to H x W x 3 uint8."""
    return cv2.merge([cv2.LUT(mask, np.ascontiguousarray(channel)) for channel in color_table.T])


def blend(frame: np.ndarray, mask: np.ndarray, color_table: np.ndarray, *, opacity: float) -> np.ndarray:
    """The frame with the colors of its mask laid over it.

    Args:
        frame: H x W x 3 uint8 BGR.
        mask: H x W uint8 ids.
        color_table: 256 x 3 uint8 RGB; where an id is black it has no color, and the frame stays as it is.
        opacity: 0 (only the frame) to 1 (only the colors).

    Returns:
        H x W x 3 uint8 BGR.
    """
    colors = paint(mask, color_table[:, ::-1])
    overlay = cv2.addWeighted(frame, 1 - opacity, colors, opacity, 0)
    colorless = np.where(color_table.any(axis=1), 0, 255).astype(np.uint8)
    return cv2.copyTo(frame, cv2.LUT(mask, colorless), overlay)
