"""Read every frame of a data set and name what is wrong: `bisenet check-dataset cityscapes --root /data/cityscapes`."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Collection, Iterable, List, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import network_size
from bisenet_training.data.datasets import DATASETS, DataError, SegmentationDataset, default_splits, open_dataset
from bisenet_training.data.segmentation_dataset import Inspection

Size = Tuple[int, int]

NAMED = 10
"""How many things of one kind the summary names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help=f"{', '.join(DATASETS)}, or the YAML that describes your own")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument(
        "--split",
        action="append",
        help="a split to read, may be given several times; left out: those to train on and to validate with",
    )


def run(arguments: argparse.Namespace) -> int:
    datasets: List[SegmentationDataset] = []
    problems: List[str] = []
    for split in arguments.split or default_splits(arguments.dataset):
        try:
            datasets.append(open_dataset(arguments.dataset, root=arguments.root, split=split))
        except DataError as error:
            problems.append(str(error))
    if not datasets:
        raise DataError("\n".join(dict.fromkeys(problems)))
    if problems:
        print("\n".join(problems))
    for dataset in datasets:
        inspections = inspect(dataset)
        found = problems_in(inspections)
        print("\n".join([*found, *_summary(dataset, inspections)]))
        problems += found
    return 1 if problems else 0


def inspect(dataset: SegmentationDataset, *, progress: bool = True) -> List[Inspection]:
    """Reads every frame and returns what each showed, in their order."""
    bar = tqdm(
        dataset.inspections(),
        total=len(dataset),
        desc=f"reading {dataset.split}",
        unit="frame",
        disable=None if progress else True,
    )
    return list(bar)


def problems_in(inspections: Iterable[Inspection]) -> List[str]:
    """What is wrong with the frames that cannot be trained on."""
    return [inspection.problem for inspection in inspections if inspection.problem]


def _summary(dataset: SegmentationDataset, inspections: List[Inspection]) -> List[str]:
    pixels = {dataset.name(i): found.pixels for i, found in enumerate(inspections) if found.pixels is not None}
    lines = [f"{dataset.split}: {len(dataset)} frames, {len(dataset) - len(pixels)} with problems"]
    published = dataset.official_frames.get(dataset.split, len(dataset))
    if published != len(dataset):
        lines.append(f"  as published the split has {published} frames")
    if not pixels:
        return lines
    sizes = Counter(found.size for found in inspections if found.size)
    shown = [f"{width} x {height} ({count} frames)" for (height, width), count in sizes.most_common(NAMED)]
    lines.append(f"  width x height: {_some(shown, len(sizes))}")
    void = [name for name, counts in pixels.items() if not counts[:IGNORE].any()]
    if void:
        lines.append(f"  {len(void)} frames have no labeled pixel: {_some(void[:NAMED], len(void))}")
    moments = [found.moments for found in inspections if found.moments is not None]
    weights = [int(counts.sum()) for counts in pixels.values()]
    lines.append(f"  for a recipe: {_recipe_entries(moments, weights=weights, sizes=sizes)}")
    return [*lines, *_shares(dataset, np.sum(list(pixels.values()), axis=0))]


def _recipe_entries(moments: Sequence[np.ndarray], *, weights: Sequence[int], sizes: Collection[Size]) -> str:
    """What a recipe has to state of the frames: mean and deviation of RGB, and the size if they share one."""
    mean, square = np.average(moments, axis=0, weights=weights)
    entries = {"mean": [f"{x:.4f}" for x in mean], "std": [f"{x:.4f}" for x in np.sqrt(square - mean**2)]}
    if len(sizes) == 1:
        (size,) = sizes
        entries["network_size"] = [str(side) for side in network_size(*size, trained=size)]
    return " ".join(f"data.{name}=[{','.join(values)}]" for name, values in entries.items())


def _shares(dataset: SegmentationDataset, pixels: np.ndarray) -> List[str]:
    """The share of all pixels that each class has, and the classes that have none."""
    names = dataset.labels.names
    rows = [*((name, pixels[i]) for i, name in enumerate(names)), ("unlabeled", pixels[IGNORE])]
    widest = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{widest}} {count / pixels.sum():7.2%}" for name, count in rows if count]
    absent = [name for name, count in rows[:-1] if not count]
    return [*lines, f"  classes that never occur: {_some(absent[:NAMED], len(absent))}"] if absent else lines


def _some(shown: List[str], count: int) -> str:
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")
