# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Class groups: a model's classes, or a data set's, merged into those that a stack works with, as a YAML file says.

    classes:                      # their ids are 0, 1, ...
      - name: drivable
        color: [0, 160, 80]       # RGB
        of: [road]                # classes that must be there
      - name: person
        color: [220, 20, 60]
        optional: [person, pedestrian, rider]    # classes that may be there
    unlisted: 255                 # what no group names: 255 (no class, the default), or the name of a group

A group of optional classes none of which is there keeps its id, and is never found. Classes that are the groups
already, by name and order, stay as they are. `grouped_model.py` says how a pixel's group is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from bisenet_ros.model.class_map import IGNORE, ClassMap, ClassMapError, SegmentationClass

KEYS = {"name", "color", "of", "optional"}
UNLISTED = "unlisted"


class Grouping(NamedTuple):
    """Class groups for certain classes.

    Attributes:
        classes: the groups; where something is left out, it is the last of them, called UNLISTED.
        ids: 256 uint8: the group of each class; IGNORE for ids of no class.
        unlisted: the id of what is left out, which masks have as IGNORE; None where nothing is.
    """

    classes: ClassMap
    ids: np.ndarray
    unlisted: Optional[int]


def show_unlisted(mask: np.ndarray, classes: ClassMap) -> np.ndarray:
    """A mask with the id of the class UNLISTED in place of IGNORE, where a `Grouping`'s classes have that class."""
    if classes.names[-1] != UNLISTED:
        return mask
    return np.where(mask == IGNORE, np.uint8(len(classes) - 1), mask)


@dataclass(frozen=True)
class ClassGroups:
    """Groups as a file describes them.

    Attributes:
        groups: the classes that come of it; the id of a group is its place.
        of: the group's id of each class that must be there, by name.
        optional: likewise, of classes that may be there.
        unlisted: the id of what no group names.
        path: of the file.
    """

    groups: ClassMap
    of: Mapping[str, int]
    optional: Mapping[str, int]
    unlisted: int
    path: Path

    def fit(self, classes: ClassMap) -> Grouping:
        """The groups of a model's classes; raises ClassMapError as `ids_of`."""
        ids = self.ids_of(classes, what="the model")
        left_out = ids[: len(classes)] == IGNORE
        if not left_out.any():
            return Grouping(self.groups, ids, None)
        unlisted = len(self.groups)
        ids[: len(classes)][left_out] = unlisted
        return Grouping(ClassMap((*self.groups, SegmentationClass(UNLISTED, (0, 0, 0)))), ids, unlisted)

    def ids_of(self, classes: ClassMap, *, what: str) -> np.ndarray:
        """256 uint8: the group of each class; IGNORE for a class that is left out, and for ids of no class.

        Raises:
            ClassMapError: `what`, which has these classes, lacks one of `of`, or has none that is named.
        """
        named = {**self.of, **self.optional}
        missing = [name for name in self.of if name not in classes.names]
        if classes.names == self.groups.names:
            named = {name: number for number, name in enumerate(classes.names)}
        elif missing or not set(named) & set(classes.names):
            raise ClassMapError(f"{self.path}: {self._explain(missing, classes, what=what)}")
        ids = np.full(256, IGNORE, np.uint8)
        ids[: len(classes)] = [named.get(name, self.unlisted) for name in classes.names]
        return ids

    def _explain(self, missing: Sequence[str], classes: ClassMap, *, what: str) -> str:
        """Why the groups cannot be those of certain classes."""
        known = ", ".join(classes.names)
        if not missing:
            return f"{what} has none of the classes that are named; its classes are {known}"
        return (
            f"{what} has no class {missing[0]!r}, which group {self.groups[self.of[missing[0]]].name!r} is of; its "
            f"classes are {known}; a class that may be missing is listed under `optional`"
        )


def read_class_groups(path: Path) -> ClassGroups:
    """Reads a class map's file.

    Raises:
        ClassMapError: it is not as above, has two groups of one name, or has a class or a key twice; the message names
            the file.
        OSError: it cannot be read.
    """
    import yaml

    from bisenet_ros.files.unique_keys import StrictLoader

    if not path.is_file():
        raise FileNotFoundError(f"expected a class map (.yaml) at {path}, there is no such file")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or a date such as 2020-13-45
        raise ClassMapError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    try:
        return _parse(tree, path)
    except ClassMapError as error:
        raise ClassMapError(f"{path}: {error}") from None


def _parse(tree: Any, path: Path) -> ClassGroups:
    entries = tree.get("classes") if isinstance(tree, dict) else None
    if not isinstance(entries, list) or not set(tree) <= {"classes", UNLISTED}:
        came = ", ".join(map(str, tree)) if isinstance(tree, dict) else type(tree).__name__
        raise ClassMapError(f"expected a list `classes` and perhaps `{UNLISTED}`, got {came}")
    for entry in entries:
        if not isinstance(entry, dict) or not {"name", "color"} <= set(entry) <= KEYS:
            raise ClassMapError(f"a group has a name, a color, and `of` or `optional`, {_explain_entry(entry)}")
    # Numbers such as `name: 3` are no names, and ClassMap says so.
    groups = ClassMap.from_list([{**entry, "id": number} for number, entry in enumerate(entries)])
    unlisted = _unlisted_id(tree.get(UNLISTED, IGNORE), groups.names)
    named: Dict[str, int] = {}
    of, optional = (_group_ids(entries, key, named, groups) for key in ("of", "optional"))
    empty = [name for number, name in enumerate(groups.names) if number not in {*named.values(), unlisted}]
    if empty:
        raise ClassMapError(f"the group {empty[0]!r} names no class; list them under `of` or `optional`")
    return ClassGroups(groups, of, optional, unlisted, path)


def _explain_entry(entry: Any) -> str:
    """What is wrong with a group's entry."""
    if not isinstance(entry, dict):
        return f"got {shortened(entry)}"
    faults = [f"no {key}" for key in ("name", "color") if key not in entry] + [repr(k) for k in entry if k not in KEYS]
    example = "{name: road, color: [128, 64, 128], of: [road]}"
    return f"got {' and '.join(faults)} in {shortened(entry)}; write it as {example}"


def _group_ids(entries: List[Dict[str, Any]], key: str, named: Dict[str, int], groups: ClassMap) -> Dict[str, int]:
    """The group's id of each class under a key, by name; adds them to those `named` so far."""
    ids: Dict[str, int] = {}
    for number, entry in enumerate(entries):
        names = entry.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            what = f"`{key}` of the group {groups[number].name!r}"
            raise ClassMapError(f"{what} must be a list of names, such as [road], got {shortened(names)}")
        for name in names:
            if name in named:
                first, second = groups[named[name]].name, groups[number].name
                raise ClassMapError(f"the class {name!r} is named twice, for {first!r} and {second!r}")
            named[name] = ids[name] = number
    return ids


def _unlisted_id(value: Any, names: List[str]) -> int:
    if value == IGNORE and type(value) is int:
        if UNLISTED in names:
            raise ClassMapError(f"no group can be called {UNLISTED!r} where `{UNLISTED}` is {IGNORE}")
        return IGNORE
    if value not in names:
        raise ClassMapError(
            f"`{UNLISTED}` must be {IGNORE} or the name of a group ({', '.join(names)}), got {shortened(value)}"
        )
    return names.index(value)
