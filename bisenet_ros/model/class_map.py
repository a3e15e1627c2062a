# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The classes of a model or a data set: ids, names, and the colors they are drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from bisenet_ros.errors import BisenetError

IGNORE = 255
"""The id of a pixel without a class, in masks and in ground truth."""


class ClassMapError(BisenetError):
    """A class map that cannot be used; the message says why."""


@dataclass(frozen=True)
class SegmentationClass:
    """One class: its name and its RGB color, 0 to 255."""

    name: str
    color: Tuple[int, int, int]


@dataclass(frozen=True)
class ClassMap:
    """The classes of a model or a data set; the id of a class is its place."""

    classes: Tuple[SegmentationClass, ...]

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[SegmentationClass]:
        return iter(self.classes)

    def __getitem__(self, class_id: int) -> SegmentationClass:
        return self.classes[class_id]

    @property
    def names(self) -> List[str]:
        return [entry.name for entry in self.classes]

    def color_table(self) -> np.ndarray:
        """256 x 3 uint8 RGB: the color of every id, black where there is no class."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = [entry.color for entry in self.classes]
        return table

    def to_list(self) -> List[Dict[str, Any]]:
        return [{"id": i, "name": entry.name, "color": list(entry.color)} for i, entry in enumerate(self.classes)]

    @staticmethod
    def from_list(entries: Sequence[Mapping[str, Any]]) -> ClassMap:
        """Reads `[{"id": 0, "name": "sky", "color": [128, 128, 128]}, ...]`, in any order.

        Raises:
            ClassMapError: no class, more than 255, ids that are not 0 to N - 1 once each, a name given twice, or
                a color that is not three numbers of 0 to 255.
        """
        if not isinstance(entries, (list, tuple)) or not 1 <= len(entries) <= IGNORE:
            count = len(entries) if isinstance(entries, (list, tuple)) else f"a {type(entries).__name__}"
            raise ClassMapError(f"a class map has a list of 1 to {IGNORE} classes, this one has {count}")
        classes: Dict[int, SegmentationClass] = {}
        for entry in entries:
            class_id, found = _read_class(entry)
            if class_id in classes:
                raise ClassMapError(
                    f"class id {class_id} is used twice, for {classes[class_id].name!r} and {found.name!r}; "
                    "give each an id of its own"
                )
            if found.name in (other.name for other in classes.values()):
                raise ClassMapError(f"class name {found.name!r} is used twice; give each class a name of its own")
            classes[class_id] = found
        if sorted(classes) != list(range(len(classes))):
            raise ClassMapError(f"class ids must be 0 to {len(classes) - 1} without a gap, got {sorted(classes)}")
        return ClassMap(tuple(classes[i] for i in range(len(classes))))


def check_same_classes(model: ClassMap, data_set: ClassMap) -> None:
    """Raises ClassMapError, with every difference, unless both have the same names in the same order."""
    pairs = enumerate(zip_longest(model.names, data_set.names))
    differences = [f"{i}: {ours or 'none'} / {theirs or 'none'}" for i, (ours, theirs) in pairs if ours != theirs]
    if differences:
        raise ClassMapError(
            f"expected a model of the data set's {len(data_set)} classes, got one of {len(model)}; they differ in "
            f"(id: model / data set) {', '.join(differences)}; choose the data set that the model was trained for, or "
            "merge classes with --class-map"
        )


def _read_class(entry: Mapping[str, Any]) -> Tuple[int, SegmentationClass]:
    try:
        class_id, name = entry["id"], entry["name"]
        color = tuple(entry["colour"] if "colour" in entry else entry["color"])  # "colour" in version 0.1.0
    except (KeyError, TypeError):
        raise ClassMapError(f"a class is written as id, name and color, got {entry!r}") from None
    if type(class_id) is not int or not isinstance(name, str) or not name.strip():
        raise ClassMapError(f"a class has a whole number as id and a text as name, got {class_id!r} and {name!r}")
    if len(color) != 3 or not all(type(c) is int and 0 <= c <= 255 for c in color):
        raise ClassMapError(f"the color of {name!r} must be three whole numbers of 0 to 255, got {list(color)}")
    return class_id, SegmentationClass(name, color)
