# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Test-time augmentation, flip and several scales, which the paper does without (section 4, "Inference")."""

from typing import Sequence

import cv2
import numpy as np

from bisenet_ros.engines import Engine
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.model.input_size import COARSEST_STRIDE, STRIDE
from bisenet_training.errors import OptionError

LARGEST_SCALE = 4.0


class AugmentedEngine(CpuEngine):
    """Averages the logits of a frame at several scales, and of its mirror image.

    Upsampling is linear, so that averaging at 1/8 is averaging at the frame's size, and no plane of a class is ever
    held at that size. The logits of smaller scales are first brought to the grid of the largest.

    Args:
        engine: runs the network.
        flip: also the mirror image, at every scale.
        scales: multiples of the size that the network sees without them.

    Raises:
        OptionError: no scale, or one that is not above 0 and at most 4.
    """

    def __init__(self, engine: CpuEngine, *, flip: bool, scales: Sequence[float]) -> None:
        if not scales or not all(0 < scale <= LARGEST_SCALE for scale in scales):
            raise OptionError(f"scales must be above 0 and at most {LARGEST_SCALE:g}, got {list(scales)}")
        super().__init__(engine.card, description=engine.description, size_choice=engine.size_choice)
        self.unlisted = engine.unlisted
        self._engine = engine
        self._flip = flip
        self._scales = sorted(scales)

    def frame_logits(self, frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        sizes = [_scaled(size, scale) for scale in self._scales]
        grid = sizes[-1][0] // STRIDE, sizes[-1][1] // STRIDE
        total = np.zeros((len(self.card.classes), *grid), np.float32)
        for scaled in sizes:
            total += _resize(self._engine.frame_logits(frame, scaled), grid)
            if self._flip:
                total += _resize(self._engine.frame_logits(frame[:, ::-1], scaled)[..., ::-1], grid)
        return total / (len(sizes) * (1 + self._flip))

    def _logits(self, image: np.ndarray) -> np.ndarray:
        return self._engine._logits(image)


def augmented(engine: Engine, *, flip: bool, scales: Sequence[float]) -> Engine:
    """Adds test-time tricks to an engine; without any it is returned as it is.

    Raises:
        OptionError: the engine does not give out its logits.
    """
    if not describe_tricks(flip=flip, scales=scales):
        return engine
    if not isinstance(engine, CpuEngine):
        raise OptionError(f"--flip and --scales are not possible with {engine.description}; choose --device cpu")
    return AugmentedEngine(engine, flip=flip, scales=scales)


def describe_tricks(*, flip: bool, scales: Sequence[float]) -> str | None:
    """Names the tricks, such as "flip and scales 0.75, 1"; None where there are none."""
    tricks = ["flip"] if flip else []
    if list(scales) != [1]:
        tricks.append(f"scales {', '.join(f'{scale:g}' for scale in scales)}")
    return " and ".join(tricks) or None


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The size itself, or its sides times the scale in multiples of 32, as in `network_size`."""
    if scale == 1:
        return size
    height, width = (COARSEST_STRIDE * max(1, round(side * scale / COARSEST_STRIDE)) for side in size)
    return height, width


def _resize(logits: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Resizes logits, classes x h x w float32, to a grid (height, width), bilinearly with half-pixel centers."""
    if logits.shape[1:] == grid:
        return logits
    return np.stack([cv2.resize(plane, grid[::-1], interpolation=cv2.INTER_LINEAR) for plane in logits])
