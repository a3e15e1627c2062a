# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What of a camera's masks is unknown, and how sure the network is of the rest.

The parameters are `min_confidence`, `warn_confidence` and `NAME.ignore_mask`.
"""

import math
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Deque, NamedTuple, Optional, Tuple

import cv2
import numpy as np
from rclpy.node import Node

from bisenet_ros.engines.softmax import cell_confidence
from bisenet_ros.engines.unknown_pixels import check_size, hide_unknown, read_ignore_mask
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import STRIDE, Size
from bisenet_ros.node.parameters import Parameters

WINDOW = 10.0
"""Seconds over which the figures are averaged."""
PERIOD = 0.5
"""Seconds from one frame that is measured to the next."""


class ConfidenceFigures(NamedTuple):
    """Of the pixels that are not ignored: their mean confidence, and the share below `min_confidence`; 0 to 1."""

    mean: float
    unknown: float


class CameraConfidence:
    """Hides the unknown pixels of one camera's masks, and measures the confidence of two frames a second.

    `check_size`, `figures` and `warning` are for any thread, the rest is for one.
    """

    def __init__(self, node: Node, parameters: Parameters, camera: str) -> None:
        """Raises BisenetError where the ignore mask cannot be used."""
        self._parameters = parameters
        self._parameter = f"{camera}.ignore_mask"
        self._ignored = self._read_ignore_mask(node)
        self._lock = threading.Lock()
        self._samples: Deque[Tuple[float, ConfidenceFigures]] = deque()
        self._due = time.monotonic()
        self._lacks_logits = False

    @property
    def is_due(self) -> bool:
        """Whether the next frame is to be measured."""
        return time.monotonic() >= self._due

    @property
    def has_min_confidence(self) -> bool:
        """Whether the parameter `min_confidence` is above 0."""
        return self._parameters["min_confidence"] > 0

    @property
    def is_needed(self) -> bool:
        """Whether the next frame's confidence is needed, pixel by pixel, though nobody may listen to it."""
        watched = self._lacks_logits and self._parameters["warn_confidence"] > 0
        return self.has_min_confidence or (watched and self.is_due)

    def check_size(self, size: Size) -> None:
        """Raises ImageError for an image, (height, width), of another size than the ignore mask."""
        if self._ignored is not None:
            check_size(self._ignored, size, name=self._parameter)

    def hide_unknown(
        self, mask: np.ndarray, confidence: Optional[np.ndarray]
    ) -> Tuple[np.ndarray, Optional[np.ndarray]]:
        """The mask with 255 in its unknown pixels, and the confidence with 0 in those that are ignored."""
        return hide_unknown(mask, confidence, ignored=self._ignored, min_confidence=self._parameters["min_confidence"])

    def measure(self, confidence: Optional[np.ndarray], logits: Optional[np.ndarray]) -> None:
        """Measures a frame that is due, by its confidence where that was computed, else by its logits at 1/8.

        Where there are neither, as with a plan of TensorRT that ends with the mask, the confidence is needed while
        `warn_confidence` is above 0.

        Args:
            confidence: H x W uint8.
            logits: classes x h x w float32.
        """
        self._due = time.monotonic() + PERIOD
        if confidence is not None:
            cells = [math.ceil(side / STRIDE) for side in confidence.shape[::-1]]
            self._add(cv2.resize(confidence, cells, interpolation=cv2.INTER_NEAREST) / np.float32(255))
            return
        self._lacks_logits = logits is None
        if logits is not None:
            self._add(cell_confidence(logits))

    def figures(self) -> Optional[ConfidenceFigures]:
        """The means of the last WINDOW seconds; None where nothing was measured."""
        oldest = time.monotonic() - WINDOW
        with self._lock:
            found = [figures for when, figures in self._samples if when >= oldest]
        return ConfidenceFigures(*map(float, np.mean(found, axis=0))) if found else None

    def warning(self) -> str:
        """Why the mean confidence is a problem, by the parameter `warn_confidence`; empty where it is none."""
        figures, least = self.figures(), self._parameters["warn_confidence"]
        if figures is None or figures.mean >= least:
            return ""
        return (  # without the figure itself, which changes: a problem is logged when it lasts
            f"the model is not sure of what it sees: mean_confidence is below warn_confidence, {least:g}; look for a "
            "covered or dirty lens, darkness, or surroundings that it was not trained for"
        )

    def _add(self, confidence: np.ndarray) -> None:
        """Measures h x w float32, of 0 to 1, but for the pixels that `cv2.resize` takes from the ignored ones."""
        seen = confidence
        if self._ignored is not None:
            ignored = cv2.resize(self._ignored, confidence.shape[::-1], interpolation=cv2.INTER_NEAREST)
            seen = confidence[ignored == 0]
        if not seen.size:
            return
        now = time.monotonic()
        unknown = seen < self._parameters["min_confidence"]
        with self._lock:
            self._samples.append((now, ConfidenceFigures(float(seen.mean()), float(unknown.mean()))))
            while self._samples[0][0] < now - WINDOW:
                self._samples.popleft()

    def _read_ignore_mask(self, node: Node) -> Optional[np.ndarray]:
        path = self._parameters[self._parameter]
        if not path:
            return None
        try:
            ignored = read_ignore_mask(Path(os.path.expanduser(path)))
        except (BisenetError, OSError) as error:
            raise BisenetError(f"parameter {self._parameter}: {error}") from error
        node.get_logger().info(f"{self._parameter}: {path} ignores {100 * np.mean(ignored > 0):.1f} % of an image")
        return ignored
