"""Data sets on disk, as images and targets."""

from pathlib import Path
from typing import Sequence

from bisenet_ros.model.class_map import ClassMap
from bisenet_training.data.ade20k import Ade20K
from bisenet_training.data.camvid import CamVid
from bisenet_training.data.camvid_original import CamVidOriginal
from bisenet_training.data.cityscapes import Cityscapes
from bisenet_training.data.coco_stuff import CocoStuff10K
from bisenet_training.data.described_dataset import DescribedDataset, read_description
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


def open_dataset(dataset: str, *, root: Path, split: str = "", cache_bytes: int = 0) -> SegmentationDataset:
    """Opens a data set of DATASETS, or the one that a YAML file describes; by default the split to validate with.

    Raises:
        DataError: there is no such data set, or its files are not where they should be.
    """
    split = split or default_splits(dataset)[1]
    if dataset in DATASETS:
        return DATASETS[dataset](root, split, cache_bytes=cache_bytes)
    return DescribedDataset(_yaml(dataset), root, split, cache_bytes=cache_bytes)


def class_map(dataset: str) -> ClassMap:
    """The classes of a data set, without its data; raises DataError if there is no such data set."""
    return DATASETS[dataset].classes if dataset in DATASETS else read_description(_yaml(dataset)).classes


def default_splits(dataset: str) -> Sequence[str]:
    """The split to train on, and the one to validate with; raises DataError if there is no such data set."""
    return DATASETS[dataset].splits if dataset in DATASETS else read_description(_yaml(dataset)).splits


def _yaml(dataset: str) -> Path:
    path = Path(dataset)
    if path.suffix not in (".yaml", ".yml"):
        raise DataError(
            f"expected a data set of {', '.join(DATASETS)}, or the path of a YAML that describes one, got {dataset!r}"
        )
    return path
