# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data sets on disk, as images and targets."""

from functools import partial
from pathlib import Path
from typing import Any

from bisenet_training.data.ade20k import Ade20K
from bisenet_training.data.camvid import CamVid
from bisenet_training.data.camvid_original import CamVidOriginal
from bisenet_training.data.cityscapes import Cityscapes
from bisenet_training.data.coco_stuff import CocoStuff10K
from bisenet_training.data.described_dataset import DescribedDataset, Description, read_description
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

DATASETS: dict[str, type[SegmentationDataset]] = {
    "camvid": CamVid,
    "camvid_original": CamVidOriginal,
    "cityscapes": Cityscapes,
    "coco_stuff_10k": CocoStuff10K,
    "ade20k": Ade20K,
}
"""By name."""


def find_dataset(dataset: str) -> type[SegmentationDataset] | Description:
    """What is known of a data set without its files, by its name or its YAML: `classes`, `splits` and more.

    Raises:
        DataError: there is no such data set.
    """
    if dataset in DATASETS:
        return DATASETS[dataset]
    if Path(dataset).suffix not in (".yaml", ".yml"):
        raise DataError(
            f"expected a data set of {', '.join(DATASETS)}, or the path of a YAML that describes one, got {dataset!r}"
        )
    return read_description(Path(dataset))


def open_dataset(dataset: str, *, root: Path, split: str = "", **options: Any) -> SegmentationDataset:
    """Opens a data set, by default the split to validate with; `options` are SegmentationDataset's.

    Raises:
        DataError: there is no such data set, or its files are not where they should be.
    """
    found = find_dataset(dataset)
    kind = partial(DescribedDataset, found) if isinstance(found, Description) else found
    return kind(root, split or found.splits[1], **options)
