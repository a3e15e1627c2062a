# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Opens data sets that the training package knows, which bisenet_ros does not import."""

from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Optional

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.missing_package import how_to_install

GROUP = "bisenet.data_sets"
"""The group of the entry point that opens data sets; see setup.py."""


class DataSetPlace(NamedTuple):
    """The parts of NAME:ROOT[:SPLIT]; each is empty where it is missing."""

    name: str
    root: str
    split: str


def parse_data_set(text: str) -> DataSetPlace:
    """The parts of a text NAME:ROOT[:SPLIT], such as camvid:/data/camvid:val."""
    name, _, place = text.partition(":")
    root, _, split = place.partition(":")
    return DataSetPlace(name, root, split)


def open_data_set(name: str, root: Path, split: str, *, class_map: Optional[str] = None) -> Any:
    """Opens a data set by the training package's entry point.

    It has a length, gives H x W x 3 uint8 BGR and H x W uint8 ids (255: no label) by index, and has `name(index)`, the
    list `image_files` and `classes`.

    Args:
        split: "" for the one that it validates with.
        class_map: the name or the file of a class map, which merges the data set's classes.

    Raises BisenetError where a package that it needs is not installed, there is no such data set, or the class map does
    not fit it.
    """
    points = metadata.distribution("bisenet_ros").entry_points
    entry_point = next(point for point in points if point.group == GROUP)
    try:
        open_dataset = entry_point.load()
    except ModuleNotFoundError as error:
        raise BisenetError(
            f"data sets need the Python package {error.name!r}; {how_to_install(error.name or '', extra='training')}"
        ) from error
    return open_dataset(name, root=root, split=split, class_map=class_map)
