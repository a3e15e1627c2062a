# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data sets on disk, as images and targets."""

from pathlib import Path
from typing import Any

from bisenet_training.data.description import Description, read_description
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

DATASETS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "datasets").glob("*.yaml"))}
"""The descriptions that are installed, by name."""


def find_dataset(dataset: str) -> Description:
    """What is known of a data set without its files, by its name or its YAML.

    Raises:
        YamlError: its YAML cannot be read.
        DataError: there is no such data set, or its YAML does not describe one.
    """
    if dataset not in DATASETS and Path(dataset).suffix not in (".yaml", ".yml"):
        raise DataError(
            f"expected a data set of {', '.join(DATASETS)}, or the path of a YAML that describes one, got {dataset!r}"
        )
    return read_description(DATASETS.get(dataset, Path(dataset)))


def open_dataset(dataset: str, *, root: Path, split: str = "", **options: Any) -> SegmentationDataset:
    """Opens a data set, by default the split to validate with; `options` are SegmentationDataset's.

    Raises:
        DataError: there is no such data set, or its files are not where they should be.
    """
    found = find_dataset(dataset)
    return SegmentationDataset(found, root, split or found.splits[1], **options)
