# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checks a data set: reads every frame, lists the problems, and sums up sizes, colors and classes."""

import math
from collections import Counter
from typing import Sequence

import numpy as np
from tqdm import tqdm

from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import LONGEST_SIDE, size_text
from bisenet_ros.model.model_card import SMALLEST_STD
from bisenet_training.data.segmentation_dataset import Inspection, SegmentationDataset

LARGEST_INPUT = 512 * 1024
"""Pixels of the paper's network; more are not proposed, as the time of training and of the node grows with them."""
STEP = 32
"""Sides that are proposed are its multiples, as crops of others cost accuracy (RESULTS.md)."""
DARK = 0.06
"""A mean of all colors below this is that of images whose bits are at the lower end, or of a night."""
MOST_NAMED = 10
"""Sizes, frames or classes that the summary names; of more it gives the number."""


def inspect(dataset: SegmentationDataset, *, progress: bool = True) -> tuple[list[Inspection], list[str]]:
    """Reads every frame: what was found in those that can be used, and the problems of the others."""
    options = {"desc": f"reading {dataset.split}", "unit": "frame", "disable": None if progress else True}
    found = list(tqdm(dataset.inspections(), total=len(dataset), **options))
    return [it for it in found if isinstance(it, Inspection)], [it for it in found if isinstance(it, str)]


def summarize(dataset: SegmentationDataset, inspections: Sequence[Inspection]) -> list[str]:
    """Lines for people: number and sizes of the frames, what is odd, entries for a recipe, and each class's share."""
    lines = [f"{dataset.split}: {len(dataset)} frames, {len(dataset) - len(inspections)} with problems"]
    published = _published_frames(dataset)
    if published not in (None, len(dataset)):
        lines.append(f"  as published the split has {published} frames")
    if not inspections:
        return lines
    sizes = Counter(found.size for found in inspections)
    counts = [f"{size_text(size)} ({count} frames)" for size, count in sizes.most_common()]
    lines.append(f"  sizes: {_some(counts)}")
    lines.append(f"  for a recipe: {_recipe_entries(inspections)}")
    lines += _shares(dataset, np.sum([found.pixels for found in inspections], axis=0))
    unlabeled = [name for i, name in enumerate(dataset.classes.names) if i not in dataset.labeled]
    lines += [f"  classes that the data set does not label: {_some(unlabeled)}"] if unlabeled else []
    return [*lines, *(f"  {finding}" for finding in findings(dataset, inspections))]


def findings(dataset: SegmentationDataset, inspections: Sequence[Inspection]) -> list[str]:
    """What is odd in a split although it can be used, each as text."""
    found = []
    void = [it.name for it in inspections if not it.pixels[:IGNORE].any()]
    if void:
        found.append(f"{len(void)} frames have no labeled pixel: {_some(void)}")
    tagged = [it.name for it in inspections if it.orientation != 1]
    if tagged:
        found.append(
            f"{len(tagged)} images have an EXIF orientation tag, which is ignored: labels must fit the pixels as "
            "they are stored, not as viewers show them; check " + _some(tagged)
        )
    pixels = np.sum([it.pixels for it in inspections], axis=0)
    absent = [dataset.classes.names[i] for i in dataset.labeled if not pixels[i]]
    if absent:
        found.append(f"classes that never occur: {_some(absent)}")
    mean = float(_moments(inspections)[0].mean())
    if mean < DARK:
        found.append(
            f"the images are nearly black, {mean:.3f} of 1 in the mean; if they have 16 bits, of which the upper 8 are "
            "used, shift those that hold 10 or 12"
        )
    return found


def _published_frames(dataset: SegmentationDataset) -> int | None:
    split = dataset.description.known_splits.get(dataset.split)
    return split.frames if split else None


def _recipe_entries(inspections: Sequence[Inspection]) -> str:
    """The frames' entries in a recipe: mean and standard deviation of RGB, and sizes if they share one.

    So that a recipe takes them, a deviation is 0.001 at least, and a side 8192 at most.
    """
    mean, square = _moments(inspections)
    entries = {
        "data.mean": [f"{x:.4f}" for x in mean],
        "data.std": [f"{x:.4f}" for x in np.sqrt(np.maximum(SMALLEST_STD**2, square - mean**2))],
    }
    sizes = {found.size for found in inspections}
    if len(sizes) == 1:
        sides = [str(side) for side in _proposed_size(*next(iter(sizes)))]
        entries.update(dict.fromkeys(("data.network_size", "augmentation.crop", "augmentation.frame_size"), sides))
    words = [f"'{name}=[{','.join(values)}]'" for name, values in entries.items()]
    return " ".join([*words, *(["augmentation.resize=null"] if len(sizes) == 1 else [])])


def _moments(inspections: Sequence[Inspection]) -> np.ndarray:
    """2 x 3, float64: the mean of RGB in 0 to 1, and of its square, over all pixels."""
    weights = [found.pixels.sum() for found in inspections]
    return np.average([found.moments for found in inspections], axis=0, weights=weights)


def _proposed_size(height: int, width: int) -> tuple[int, int]:
    """For the network's input and crops: of nearly the frames' shape, but not above LARGEST_INPUT."""
    smaller = min(1.0, math.sqrt(LARGEST_INPUT / (height * width)))
    sizes = ((h, _side(h * width / height)) for h in range(_side(smaller * height), 0, -STEP))
    return next(size for size in sizes if math.prod(size) <= LARGEST_INPUT)


def _side(pixels: float) -> int:
    """The nearest side that is proposed."""
    return min(LONGEST_SIDE, max(STEP, STEP * round(pixels / STEP)))


def _shares(dataset: SegmentationDataset, pixels: np.ndarray) -> list[str]:
    """The share of all pixels that each class has."""
    names = dataset.classes.names
    rows = [*((name, pixels[i]) for i, name in enumerate(names)), ("unlabeled", pixels[IGNORE])]
    widest = max(len(name) for name, _ in rows)
    return [f"  {name:<{widest}} {count / pixels.sum():7.2%}" for name, count in rows if count]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
