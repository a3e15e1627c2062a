# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compares the scales at which frames are trained on with the one at which the network segments them."""

import math
from typing import Sequence

from bisenet_ros.model.input_size import Size, network_size
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.trainer.recipe import AugmentationRecipe, Recipe

TOLERANCE = 1.1
"""How far beyond the trained scales a frame may be segmented; sides are rounded, and networks are not that exact."""


def trained_scales(augmentation: AugmentationRecipe, size: Size) -> tuple[float, float]:
    """The smallest and the largest scale of a frame of (height, width) in training, by its sides."""
    scales = augmentation.scale_range or augmentation.scales
    zoom = _zoom(size, augmentation.frame_size) if augmentation.frame_size else 1.0
    resize = _zoom(augmentation.crop, augmentation.resize) if augmentation.resize else 1.0
    return zoom * resize * min(scales), zoom * resize * max(scales)


def segmented_scale(recipe: Recipe, size: Size, *, dataset: SegmentationDataset) -> float:
    """The scale at which the network gets a frame of (height, width) to segment, by its sides."""
    height, width = (max(side, padded) for side, padded in zip(size, dataset.padding))
    trained = (recipe.data.network_size[0], recipe.data.network_size[1])
    return _zoom((height, width), network_size(height, width, trained=trained, choice=dataset.size_choice))


def describe_other_scale(recipe: Recipe, sizes: Sequence[Size], *, dataset: SegmentationDataset) -> str:
    """Says that most of a data set's frames are segmented at a scale that is not trained; "" where they are not.

    Args:
        sizes: (height, width) of every frame.
    """
    others = []
    for size in sizes:
        smallest, largest = trained_scales(recipe.augmentation, size)
        scale = segmented_scale(recipe, size, dataset=dataset)
        if not smallest / TOLERANCE <= scale <= largest * TOLERANCE:
            others.append((smallest, largest, scale))
    if 2 * len(others) <= len(sizes):
        return ""
    smallest, largest, scale = others[len(others) // 2]
    followed = recipe.augmentation.frame_size == recipe.data.network_size
    advice = (
        "choose augmentation.scales, scale_range, crop and resize so that this scale is among them"
        if followed
        else "set augmentation.frame_size to data.network_size, so that scales count from what the network segments"
    )
    return (
        f"{len(others)} of the {len(sizes)} frames of {dataset.split!r} are segmented at a scale that is not trained: "
        f"at {scale:.2f} of their size by data.network_size, and at {smallest:.2f} to {largest:.2f} by augmentation; "
        f"{advice}"
    )


def _zoom(size: Sequence[int], other: Sequence[int]) -> float:
    """The factor of each side that gives a frame of one size as many pixels as another."""
    return math.sqrt(math.prod(other) / math.prod(size))
