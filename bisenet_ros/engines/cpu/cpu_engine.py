# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the CPU's engines share: one pass over the frame before the network, and one after it."""

import time
from abc import abstractmethod
from typing import Dict, Optional

import numpy as np

from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.model.input_size import STRIDE, Size
from bisenet_ros.model.model_file import ModelError


class CpuEngine(Engine):
    """Everything but the network itself, which a subclass runs."""

    _last_logits: Optional[np.ndarray] = None

    def last_logits(self) -> Optional[np.ndarray]:
        return self._last_logits

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        logits = self.frame_logits(frame, self.network_size(*frame.shape[:2]))
        return upsample_logits(logits, frame.shape[:2], confidence=confidence)

    def upsample(self, logits: np.ndarray, size: Size, *, confidence: bool) -> Segmentation:
        """The mask of a frame of `size` (height, width), and its confidence; see `Engine.segment`."""
        return self._hide_unlisted(upsample_logits(logits, size, confidence=confidence))

    def frame_logits(self, frame: np.ndarray, size: Size) -> np.ndarray:
        """The logits of a frame that is resized to `size` for the network.

        Args:
            frame: H x W x 3 uint8 BGR.
            size: (height, width), multiples of 8.

        Returns:
            classes x height/8 x width/8 float32, valid until the next call.

        Raises:
            ModelError: the network returns something else, or numbers that are not finite.
        """
        logits = self._logits(normalize_frame(frame, size, mean=self.card.mean, std=self.card.std))
        expected = (1, len(self.card.classes), size[0] // STRIDE, size[1] // STRIDE)
        if logits.shape != expected or logits.dtype != np.float32:
            raise ModelError(
                f"expected float32 logits of shape {expected} for the {len(self.card.classes)} classes on the model's "
                f"card, got {logits.dtype} of {logits.shape}; export the model again with its own card"
            )
        if not np.isfinite(logits).all():  # the mask would be of the first class alone
            raise ModelError("its logits are not finite: its training diverged, or the file is damaged")
        self._last_logits = logits
        return logits[0]

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        size = self.network_size(*frame.shape[:2])
        start = time.perf_counter()
        image = normalize_frame(frame, size, mean=self.card.mean, std=self.card.std)
        normalized = time.perf_counter()
        logits = self._logits(image)[0]
        computed = time.perf_counter()
        upsample_logits(logits, frame.shape[:2])
        end = time.perf_counter()
        stages = {"before": normalized - start, "network": computed - normalized, "after": end - computed}
        return {stage: 1000 * seconds for stage, seconds in stages.items()}

    @abstractmethod
    def _logits(self, image: np.ndarray) -> np.ndarray:
        """1 x 3 x h x w float32 normalized RGB to 1 x classes x h/8 x w/8 float32."""
