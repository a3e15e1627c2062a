"""Checks a data set: reads every frame, lists the problems, and sums up sizes, colors and classes."""

from collections import Counter
from typing import Collection, Iterable, Sequence

import numpy as np
from tqdm import tqdm

from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import network_size
from bisenet_training.data.segmentation_dataset import Inspection, SegmentationDataset
from bisenet_training.errors import DataError

Size = tuple[int, int]

MOST_NAMED = 10
"""Sizes, frames or classes that the summary names; of more it gives the number."""


def inspect(dataset: SegmentationDataset, *, progress: bool = True) -> list[Inspection]:
    """Reads every frame and returns what was found in each, in order."""
    options = {"desc": f"reading {dataset.split}", "unit": "frame", "disable": None if progress else True}
    return list(tqdm(dataset.inspections(), total=len(dataset), **options))


def problems_in(inspections: Iterable[Inspection]) -> list[str]:
    """The problems of the frames that cannot be trained on."""
    return [inspection.problem for inspection in inspections if inspection.problem]


def require_labeled_pixels(dataset: SegmentationDataset, inspections: Iterable[Inspection]) -> None:
    """Raises DataError if no pixel of the split has a class: there is nothing to learn from, and nothing to score."""
    if not any(found.pixels[:IGNORE].any() for found in inspections if found.pixels is not None):
        raise DataError(f"none of the {len(dataset)} frames of split {dataset.split!r} has a labeled pixel")


def summarize(dataset: SegmentationDataset, inspections: Sequence[Inspection]) -> list[str]:
    """Lines for people: number and sizes of the frames, entries for a recipe, and each class's share of the pixels."""
    pixels = {dataset.name(i): found.pixels for i, found in enumerate(inspections) if found.pixels is not None}
    lines = [f"{dataset.split}: {len(dataset)} frames, {len(dataset) - len(pixels)} with problems"]
    published = dataset.official_frames.get(dataset.split, len(dataset))
    if published != len(dataset):
        lines.append(f"  as published the split has {published} frames")
    if not pixels:
        return lines
    sizes = Counter(found.size for found in inspections if found.size)
    shown = [f"{width} x {height} ({count} frames)" for (height, width), count in sizes.most_common(MOST_NAMED)]
    lines.append(f"  width x height: {_some(shown, len(sizes))}")
    void = [name for name, counts in pixels.items() if not counts[:IGNORE].any()]
    if void:
        lines.append(f"  {len(void)} frames have no labeled pixel: {_some(void[:MOST_NAMED], len(void))}")
    moments = [found.moments for found in inspections if found.moments is not None]
    weights = [int(counts.sum()) for counts in pixels.values()]
    lines.append(f"  for a recipe: {_recipe_entries(moments, weights=weights, sizes=sizes)}")
    return [*lines, *_shares(dataset, np.sum(list(pixels.values()), axis=0))]


def _recipe_entries(moments: Sequence[np.ndarray], *, weights: Sequence[int], sizes: Collection[Size]) -> str:
    """The frames' entries in a recipe: mean and standard deviation of RGB, and the size if they share one."""
    mean, square = np.average(moments, axis=0, weights=weights)
    entries = {"mean": [f"{x:.4f}" for x in mean], "std": [f"{x:.4f}" for x in np.sqrt(square - mean**2)]}
    if len(sizes) == 1:
        (size,) = sizes
        entries["network_size"] = [str(side) for side in network_size(*size, trained=size)]
    return " ".join(f"data.{name}=[{','.join(values)}]" for name, values in entries.items())


def _shares(dataset: SegmentationDataset, pixels: np.ndarray) -> list[str]:
    """The share of all pixels that each class has, and the classes that have none."""
    names = dataset.classes.names
    rows = [*((name, pixels[i]) for i, name in enumerate(names)), ("unlabeled", pixels[IGNORE])]
    widest = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{widest}} {count / pixels.sum():7.2%}" for name, count in rows if count]
    absent = [name for name, count in rows[:-1] if not count]
    return [*lines, f"  classes that never occur: {_some(absent[:MOST_NAMED], len(absent))}"] if absent else lines


def _some(shown: list[str], count: int) -> str:
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
