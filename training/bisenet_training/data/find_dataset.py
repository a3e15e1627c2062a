# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Finds data sets and class maps by name or by YAML file, and merges the classes of data sets."""

from pathlib import Path
from typing import Any, Mapping

from bisenet_ros.model.class_groups import ClassGroups, read_class_groups
from bisenet_ros.model.class_map import IGNORE, ClassMapError
from bisenet_training.data.description import Description, make_description
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError
from bisenet_training.yaml_file import read_yaml


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
    description = _read_description(_find("a data set", dataset, DATASETS))
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


def _read_description(path: Path) -> Description:
    entries = _read_entries(path, above=[])
    try:
        return make_description(entries)
    except (DataError, ClassMapError) as error:
        raise DataError(f"{path}: {error}") from None


def _read_entries(path: Path, *, above: list[Path]) -> Any:
    """Reads the entries of a YAML, over those of its `base`: a data set's name, or a path relative to the YAML."""
    entries = read_yaml(path)
    if not isinstance(entries, dict) or "base" not in entries:
        return entries
    above = [*above, path.resolve()]
    base = path.parent / _find(f"`base` of {path} to be a data set", str(entries.pop("base")), DATASETS)
    if base.resolve() in above:
        raise DataError(f"{path} builds on itself; its `base` must be another data set")
    below = _read_entries(base, above=above)
    return {**below, **entries} if isinstance(below, dict) else below


def _find(what: str, name: str, installed: Mapping[str, Path]) -> Path:
    if name not in installed and Path(name).suffix not in (".yaml", ".yml"):
        raise DataError(
            f"expected {what} of {', '.join(installed)}, or the path of a YAML that describes one, got {name!r}"
        )
    return installed.get(name, Path(name))
