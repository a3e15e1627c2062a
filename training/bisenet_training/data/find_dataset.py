# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Finds data sets and class maps by name or by YAML file, and merges the classes of data sets."""

from pathlib import Path
from typing import Any, Mapping

from bisenet_ros.model.class_groups import ClassGroups, read_class_groups
from bisenet_ros.model.class_map import IGNORE
from bisenet_training.data.description import Description, read_description
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError


def _installed(folder: str) -> dict[str, Path]:
    return {path.stem: path for path in sorted((Path(__file__).parents[1] / folder).glob("*.yaml"))}


DATASETS = _installed("datasets")
"""The descriptions that are installed, by name."""
CLASS_MAPS = _installed("class_maps")
"""The class maps that are installed, by name: of data sets to the 19 classes of Cityscapes."""


def find_class_map(class_map: str) -> Path:
    """The file of a class map, by its name or its path; raises DataError where it is neither."""
    return _find("a class map", class_map, CLASS_MAPS)


def find_dataset(dataset: str, *, class_map: str | None = None) -> Description:
    """Finds the description of a data set by its name or its YAML, without the data.

    Args:
        class_map: the name or the file of a class map. The classes are then its groups; a class that it leaves out is
            ignored, as unlabeled pixels are.

    Raises:
        YamlError: its YAML cannot be read.
        DataError: there is no such data set or class map, or the YAML does not describe a data set.
        ClassMapError: the class map cannot be used, or not with the data set's classes.
    """
    description = read_description(_find("a data set", dataset, DATASETS))
    if class_map is None:
        return description
    return merge_classes(description, read_class_groups(find_class_map(class_map)), what=f"the data set {dataset}")


def merge_classes(description: Description, groups: ClassGroups, *, what: str) -> Description:
    """The description of a data set with its classes merged into groups; raises ClassMapError where they do not fit."""
    encoding = description.encoding.merged(groups.ids_of(description.classes, what=what))
    return description._replace(classes=groups.groups, encoding=encoding)


def ignored_classes(plain: Description, merged: Description) -> list[str]:
    """The names of a data set's classes that a class map leaves out."""
    pairs = zip(plain.encoding.train_ids.values(), merged.encoding.train_ids.values())
    ids = {before for before, after in pairs if after == IGNORE} - {IGNORE}
    return [name for class_id, name in enumerate(plain.classes.names) if class_id in ids]


def open_dataset(
    dataset: str, *, root: Path, split: str = "", class_map: str | None = None, **options: Any
) -> SegmentationDataset:
    """Opens a data set, by default the split to validate with; `options` are SegmentationDataset's.

    Raises:
        DataError: there is no such data set, or its files are not where they should be.
        ClassMapError: the class map cannot be used, or not with the data set's classes.
    """
    found = find_dataset(dataset, class_map=class_map)
    return SegmentationDataset(found, root, split or found.splits[1], **options)


def _find(what: str, name: str, installed: Mapping[str, Path]) -> Path:
    if name not in installed and Path(name).suffix not in (".yaml", ".yml"):
        raise DataError(
            f"expected {what} of {', '.join(installed)}, or the path of a YAML that describes one, got {name!r}"
        )
    return installed.get(name, Path(name))
