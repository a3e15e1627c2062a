# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bilinear interpolation along one axis, with half-pixel centers: torch's align_corners=False."""

from typing import NamedTuple

import numpy as np


class Neighbors(NamedTuple):
    """For each output position, the two input positions it lies between and how far it is toward the second."""

    first: np.ndarray  # uint32: an unsigned index needs no check for negative ones
    second: np.ndarray  # uint32
    toward_second: np.ndarray  # float32, 0 to 1


def neighbors(size_in: int, size_out: int) -> Neighbors:
    """The interpolation of `size_in` samples to `size_out`; positions beyond the border take the border's value."""
    position = np.maximum((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0)
    first = np.minimum(position.astype(np.uint32), size_in - 1).astype(np.uint32)
    second = np.minimum(first + 1, size_in - 1).astype(np.uint32)
    return Neighbors(first, second, (position - first).astype(np.float32))


class Taps(NamedTuple):
    """For each output position, the first of three adjacent input positions, and their weights."""

    start: np.ndarray  # uint32
    weights: np.ndarray  # 3 x size_out float32


def two_step_taps(size_in: int, size_between: int, size_out: int) -> Taps:
    """The interpolation from `size_in` up to `size_between`, then to `size_out`, as one step.

    An output position lies between two adjacent ones of the middle grid, and these between at most three adjacent
    input positions.

    Raises:
        ValueError: fewer than three samples, or a first step that is not upwards.
    """
    if not 3 <= size_in <= size_between:
        raise ValueError(f"expected to go up from at least 3 samples, got {size_in} to {size_between}")
    up, on = neighbors(size_in, size_between), neighbors(size_between, size_out)
    start = np.minimum(up.first[on.first], size_in - 3).astype(np.uint32)
    weights = np.zeros((3, size_out))
    outputs = np.arange(size_out)
    for middle, share in ((on.first, 1 - on.toward_second), (on.second, on.toward_second)):
        weights[up.first[middle] - start, outputs] += share * (1 - up.toward_second[middle])
        weights[up.second[middle] - start, outputs] += share * up.toward_second[middle]
    return Taps(start, weights.astype(np.float32))
