# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Temporal smoothing: an average over time of each pixel's class probabilities, which moves with the picture.

Dense optical flow (DIS; Kroeger et al., ECCV 2016) on a small gray picture says where each cell of the logits was in
the frame before. Its probabilities there are averaged with the new ones, unless the picture looks different there:
what appears, disappears or leaves the picture is taken as new.
"""

from typing import Optional, Sequence

import cv2
import numpy as np

from bisenet_ros.engines.softmax import softmax
from bisenet_ros.images.optical_flow import follow, optical_flow

MAX_GRAY_DIFFERENCE = 20
"""Of 255; where the moved picture differs more from the new one, the past is not used."""
LONGEST_GAP = 0.5
"""Seconds; after a longer gap between two frames, or a step back in time, the average begins again."""
LEAST = np.float32(1e-6)
"""Added to probabilities, so that their logarithm is finite."""


class TemporalSmoothing:
    """The average of one camera's frames. Its methods are for one thread.

    Attributes:
        restarts: how many frames in a row, up to the last one, had no past that could be used.
    """

    def __init__(self) -> None:
        self.restarts = 0
        self._probabilities: Optional[np.ndarray] = None  # classes x h x w float32
        self._picture: np.ndarray  # 2h x 2w uint8
        self._stamp = 0.0

    def smooth(self, logits: np.ndarray, frame: np.ndarray, *, stamp: float, past: float) -> np.ndarray:
        """The logits of the averaged probabilities: their logarithms.

        Args:
            logits: classes x h x w float32, of the frame.
            frame: H x W x 3 uint8 BGR.
            stamp: seconds.
            past: 0 (none) to below 1: what the past weighs.
        """
        probabilities = softmax(logits)
        picture = _reduce(frame, logits.shape[1:])
        before = self._probabilities
        goes_on = before is not None and before.shape == logits.shape and 0 <= stamp - self._stamp <= LONGEST_GAP
        if before is not None and goes_on:
            probabilities = self._average(probabilities, before, picture, past)
        self.restarts = 0 if goes_on else self.restarts + 1
        self._probabilities, self._picture, self._stamp = probabilities, picture, stamp
        return cv2.log(probabilities + LEAST).reshape(logits.shape)

    def _average(self, now: np.ndarray, before: np.ndarray, picture: np.ndarray, past: float) -> np.ndarray:
        height, width = now.shape[1:]
        x, y, inside = follow(cv2.resize(optical_flow(picture, self._picture), (width, height)) / 2)
        gray, gray_before = (_halved(image) for image in (picture, self._picture))
        alike = cv2.absdiff(cv2.remap(gray_before, x, y, cv2.INTER_LINEAR), gray) < MAX_GRAY_DIFFERENCE
        weight = np.float32(past) * (alike & inside)
        moved = np.stack([cv2.remap(plane, x, y, cv2.INTER_LINEAR) for plane in before])
        return now + weight * (moved - now)


def _reduce(frame: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A gray picture of two pixels for each cell of the logits, in both directions.

    First by a stride, as averaging over a large frame takes longer than the flow itself.
    """
    height, width = 2 * size[0], 2 * size[1]
    stride = max(1, min(frame.shape[0] // (2 * height), frame.shape[1] // (2 * width)))
    gray = cv2.cvtColor(np.ascontiguousarray(frame[::stride, ::stride]), cv2.COLOR_BGR2GRAY)
    return cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA)


def _halved(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
