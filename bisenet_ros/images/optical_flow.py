# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Dense optical flow between two gray pictures: DIS (Kroeger et al., ECCV 2016), as OpenCV has it."""

from typing import Any, Tuple

import cv2
import numpy as np

SMALLEST_SIDE = 32
"""Pixels; on smaller pictures OpenCV reads beyond their end, so that they are padded."""


def optical_flow(picture: np.ndarray, other: np.ndarray) -> np.ndarray:
    """From each pixel of `picture` to where it is in `other`, both H x W uint8: H x W x 2 float32, (x, y) in pixels."""
    height, width = picture.shape
    bottom, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
    padded = [cv2.copyMakeBorder(gray, 0, bottom, 0, right, cv2.BORDER_REPLICATE) for gray in (picture, other)]
    # A new one each time: on small pictures the flow depends on what was computed before.
    flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    flow.setUseSpatialPropagation(False)  # with it, the flow may depend on the number of threads
    return flow.calc(*padded, None)[:height, :width]


def follow(flow: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the flow, H x W x 2 float32, takes each pixel: x and y, H x W float32, and whether they are inside."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return x, y, (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
