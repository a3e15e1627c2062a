# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The data sets of a training run: opened, read once, and found fit to be joined."""

import math
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Sequence

import numpy as np
from lightning.pytorch.utilities import rank_zero_only

from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_training.data.dataset_check import findings, inspect
from bisenet_training.data.find_dataset import open_dataset
from bisenet_training.data.segmentation_dataset import Inspection, SegmentationDataset
from bisenet_training.errors import DataError, RecipeError
from bisenet_training.trainer.devices import print_once
from bisenet_training.trainer.frame_scales import describe_other_scale
from bisenet_training.trainer.recipe import DataSetRecipe, Recipe

BYTES_OF_PIXEL = 4
"""Of a decoded frame: BGR and a train id."""


class RunData(NamedTuple):
    """The splits that a run learns from, and those that it is scored on.

    Attributes:
        training: a split of each data set of the recipe.
        pixels: 256 int64 for each split of `training`: how many pixels have each train id.
        validation: a split of each data set that is scored.
    """

    training: list[SegmentationDataset]
    pixels: list[np.ndarray]
    validation: list[SegmentationDataset]

    def splits(self) -> list[dict[str, Any]]:
        """What a run that goes on knows the data by: name, number of frames, and a hash of their names, of each split.

        Those that are trained on come first.
        """
        return [
            {"split": it.split, "frames": len(it), "names": _hash([it.name(i) for i in range(len(it))])}
            for it in (*self.training, *self.validation)
        ]


def open_data(recipe: Recipe, *, processes: int) -> RunData:
    """Opens the data sets and reads every frame of them.

    Every process reads them all: on its own machine, and into the memory that its loader processes share.

    Args:
        processes: of this machine, which share the memory for decoded frames.

    Raises:
        DataError: a split is not there, a file cannot be used, no pixel of a split has a class, there is one class
            alone, or the data sets have different classes.
        RecipeError: a class whose pixels are to be pasted is none of the data's.
        ClassMapError: a class map cannot be used, or not with its data set.
    """
    sets, scored = recipe.data.sets, recipe.data.scored
    cache_bytes = int(recipe.run.cache_gigabytes * 1e9) // processes // len(sets)
    training = [_open(entry, entry.train_split, cache_bytes) for entry in sets]
    validation = [_open(entry, entry.val_split or "", cache_bytes) for entry in scored]
    _require_several_classes(training[0].classes)
    _require_same_classes(training)
    _require_classes(recipe.augmentation.copy_paste, training[0].classes)
    for dataset in validation:
        print_once(_describe_shared(training, dataset))
    found = [_inspect(dataset, entry) for dataset, entry in zip(training, sets)]
    for dataset, inspections in zip(training, found):
        print_once(describe_other_scale(recipe, [it.size for it in inspections], dataset=dataset))
    found_to_score = [_inspect(dataset, entry) for dataset, entry in zip(validation, scored)]
    for dataset, inspections in zip([*training, *validation], [*found, *found_to_score]):
        print_once("\n".join(f"split {dataset.split!r}: {words}" for words in findings(dataset, inspections)))
        print_once(_describe_uncached(dataset, inspections, shares=processes * len(sets)))
    return RunData(training, [_count_pixels(inspections) for inspections in found], validation)


def _hash(names: Sequence[str]) -> str:
    return sha256("\n".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def class_shares(pixels: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """256 float: the share of each train id in what is drawn; `pixels` and `weights` are of the data sets."""
    return np.average([found / found.sum() for found in pixels], axis=0, weights=weights)


def _require_several_classes(classes: ClassMap) -> None:
    """Raises DataError for one class, of which there is nothing to learn."""
    if len(classes) < 2:
        raise DataError(
            f"expected two classes or more, got {classes.names[0]} alone; make all else a class of its own, with "
            "`bisenet make-labels --background NAME` or in the data set's YAML or class map"
        )


def _require_same_classes(datasets: Sequence[SegmentationDataset]) -> None:
    """Raises DataError unless all data sets have classes of the same names, in the same order."""
    first, *others = (dataset.classes.names for dataset in datasets)
    for number, names in enumerate(others, start=1):
        if names != first:
            raise DataError(
                f"data sets that are joined need the same classes in the same order; data.0 has {len(first)}, "
                f"data.{number} has {len(names)}{_difference(first, names, number)}; give each a class_map to the same "
                "classes"
            )


def _require_classes(pasted: Sequence[str], classes: ClassMap) -> None:
    """Raises RecipeError unless all classes of augmentation.copy_paste are there."""
    unknown = [name for name in pasted if name not in classes.names]
    if unknown:
        raise RecipeError(
            f"augmentation.copy_paste must name classes of the data, which are {', '.join(classes.names)}; "
            f"got {', '.join(unknown)}"
        )


def _difference(first: Sequence[str], other: Sequence[str], number: int) -> str:
    lacking = {f"data.{number}": set(first) - set(other), "data.0": set(other) - set(first)}
    words = [f"{which} has no {', '.join(sorted(names))}" for which, names in lacking.items() if names]
    return f", and {'; '.join(words)}" if words else " in another order"


def _describe_shared(training: Sequence[SegmentationDataset], validation: SegmentationDataset) -> str:
    """Tells how many frames of a validation split are trained on too; "" where none is."""
    learned = {file for other in training for file in other.image_files}
    shared = len(learned.intersection(validation.image_files))
    if not shared:
        return ""
    return (
        f"{shared} of the {len(validation)} frames of data.val_split {validation.split!r} are in data.train_split too: "
        "the scores are not of unseen frames"
    )


def _describe_uncached(dataset: SegmentationDataset, inspections: Sequence[Inspection], *, shares: int) -> str:
    """Tells how much of a split fits into the cache, and what all of it needs; "" where it fits, or there is none.

    Args:
        shares: into how many parts run.cache_gigabytes is divided.
    """
    needed = BYTES_OF_PIXEL * sum(height * width for height, width in (found.size for found in inspections))
    if not dataset.cache_bytes or needed <= dataset.cache_bytes:
        return ""
    return (
        f"split {dataset.split!r} takes {needed / 1e9:.1f} GB decoded, and its part of run.cache_gigabytes is "
        f"{dataset.cache_bytes / 1e9:.1f}: {dataset.cached} of its {len(dataset)} frames are kept in memory, the "
        "others are decoded each time that they are used; "
        f"run.cache_gigabytes={math.ceil(needed * shares / 1e9)} would keep all"
    )


def _open(entry: DataSetRecipe, split: str, cache_bytes: int) -> SegmentationDataset:
    root = Path(entry.root)
    return open_dataset(entry.dataset, root=root, split=split, class_map=entry.class_map, cache_bytes=cache_bytes)


def _inspect(dataset: SegmentationDataset, entry: DataSetRecipe) -> list[Inspection]:
    """Reads every frame of a split.

    Raises:
        DataError: a file cannot be used, or no pixel of the split has a class.
    """
    inspections, problems = inspect(dataset, progress=rank_zero_only.rank == 0)  # type: ignore[attr-defined]
    if problems:
        command = f"bisenet check-dataset {entry.dataset} --root {entry.root} --split {dataset.split}"
        unusable = f"{len(problems)} of {len(dataset)} frames of split {dataset.split!r} cannot be used"
        raise DataError(f"{unusable}, first: {problems[0]}\nsee all with `{command}`")
    if not _count_pixels(inspections)[:IGNORE].any():
        merged = f", with the class map {entry.class_map}" if entry.class_map else ""
        raise DataError(
            f"none of the {len(dataset)} frames of split {dataset.split!r} has a labeled pixel, in the data set at "
            f"{entry.root}{merged}"
        )
    return inspections


def _count_pixels(inspections: Sequence[Inspection]) -> np.ndarray:
    """How many pixels of a split have each train id: 256 int64."""
    return np.sum([found.pixels for found in inspections], axis=0)
