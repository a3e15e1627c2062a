# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checks a data set: reads every frame, lists the problems, and sums up sizes, colors and classes."""

from collections import Counter
from typing import Sequence

import numpy as np
from tqdm import tqdm

from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import LONGEST_SIDE, network_size, size_text
from bisenet_ros.model.model_card import SMALLEST_STD
from bisenet_training.data.segmentation_dataset import Inspection, SegmentationDataset

MOST_NAMED = 10
"""Sizes, frames or classes that the summary names; of more it gives the number."""


def inspect(dataset: SegmentationDataset, *, progress: bool = True) -> tuple[list[Inspection], list[str]]:
    """Reads every frame: what was found in those that can be used, and the problems of the others."""
    options = {"desc": f"reading {dataset.split}", "unit": "frame", "disable": None if progress else True}
    found = list(tqdm(dataset.inspections(), total=len(dataset), **options))
    return [it for it in found if isinstance(it, Inspection)], [it for it in found if isinstance(it, str)]


def summarize(dataset: SegmentationDataset, inspections: Sequence[Inspection]) -> list[str]:
    """Lines for people: number and sizes of the frames, entries for a recipe, and each class's share of the pixels."""
    lines = [f"{dataset.split}: {len(dataset)} frames, {len(dataset) - len(inspections)} with problems"]
    published = _published_frames(dataset)
    if published not in (None, len(dataset)):
        lines.append(f"  as published the split has {published} frames")
    if not inspections:
        return lines
    sizes = Counter(found.size for found in inspections)
    counts = [f"{size_text(size)} ({count} frames)" for size, count in sizes.most_common()]
    lines.append(f"  sizes: {_some(counts)}")
    void = [found.name for found in inspections if not found.pixels[:IGNORE].any()]
    if void:
        lines.append(f"  {len(void)} frames have no labeled pixel: {_some(void)}")
    tagged = [found.name for found in inspections if found.orientation != 1]
    if tagged:
        lines.append(
            f"  {len(tagged)} images have an EXIF orientation tag, which is ignored: labels must fit the pixels as "
            "they are stored, not as viewers show them; check " + _some(tagged)
        )
    lines.append(f"  for a recipe: {_recipe_entries(inspections)}")
    return [*lines, *_shares(dataset, np.sum([found.pixels for found in inspections], axis=0))]


def _published_frames(dataset: SegmentationDataset) -> int | None:
    split = dataset.description.known_splits.get(dataset.split)
    return split.frames if split else None


def _recipe_entries(inspections: Sequence[Inspection]) -> str:
    """The frames' entries in a recipe: mean and standard deviation of RGB, and the size if they share one.

    So that a recipe takes them, a deviation is 0.001 at least, and a size with a side of more than 8192 is left out.
    """
    weights = [found.pixels.sum() for found in inspections]
    mean, square = np.average([found.moments for found in inspections], axis=0, weights=weights)
    sizes = {found.size for found in inspections}
    entries = {
        "mean": [f"{x:.4f}" for x in mean],
        "std": [f"{x:.4f}" for x in np.sqrt(np.maximum(SMALLEST_STD**2, square - mean**2))],
    }
    size = next(iter(sizes))
    if len(sizes) == 1 and max(size) <= LONGEST_SIDE:
        entries["network_size"] = [str(side) for side in network_size(*size, trained=size)]
    return " ".join(f"'data.{name}=[{','.join(values)}]'" for name, values in entries.items())


def _shares(dataset: SegmentationDataset, pixels: np.ndarray) -> list[str]:
    """The share of all pixels that each class has, and the classes that have none."""
    names = dataset.classes.names
    rows = [*((name, pixels[i]) for i, name in enumerate(names)), ("unlabeled", pixels[IGNORE])]
    widest = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{widest}} {count / pixels.sum():7.2%}" for name, count in rows if count]
    absent = {
        "classes that never occur": [names[i] for i in dataset.labeled if not pixels[i]],
        "classes that the data set does not label": [name for i, name in enumerate(names) if i not in dataset.labeled],
    }
    return [*lines, *(f"  {what}: {_some(absent[what])}" for what in absent if absent[what])]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
