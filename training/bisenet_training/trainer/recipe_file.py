# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reads a recipe: a YAML file, the files that it builds on, and overrides such as `data.root=/data/camvid`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Sequence, get_type_hints

from pydantic import ValidationError

from bisenet_training.errors import RecipeError
from bisenet_training.trainer.recipe import DataRecipe, DataSetRecipe, Recipe
from bisenet_training.yaml_file import TextLoader, read_yaml

MISSING = "???"
"""The value of an entry that the command line has to give."""
PROBLEMS = {
    **dict.fromkeys(("string_type", "int_type", "float_type", "bool_type"), "must be a single value"),
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list such as [480, 640]",
    "string_too_short": "must not be empty",
    "string_unicode": "must be text in UTF-8; rename what it names",
}
"""Pydantic's types of errors whose own words are not for a user."""
COMMON = get_type_hints(DataRecipe).keys() - {"sets"}
"""The entries of `data` that are the same for all data sets, so that it is enough to state them once."""
Entries = dict[str, Any]
"""Names and values; a value is text, a list, or the entries of a section."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides, the last of which holds.

    A recipe may build on another, `base: ../camvid.yaml`, relative to itself, and then states what it changes.
    Where `data` is a list, its entries have those of a base's one data set that they do not state. On the command line
    `data.1.root` is the second data set's, and `data.mean` every one's.

    Raises:
        YamlError: a file cannot be read.
        RecipeError: an entry is unknown, missing, of the wrong type, or out of range.
    """
    entries = _read(path, above=[])
    for override in overrides:
        entries = _overridden(entries, override, path)
    sets = entries.get("data", [{}])
    entries["data"] = _joined(sets, path)
    for section in get_type_hints(Recipe).keys() - {"name"}:
        stated = entries.get(section, {})
        if not isinstance(stated, dict):
            raise RecipeError(
                f"{path}: {section} is a section, whose entries are given one by one, as {section}."
                f"{_known(section)[0]}=...; got {stated!r}"
            )
        entries[section] = _given(stated)
    try:
        return Recipe(**_given(entries))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_problem(error, several=len(sets) > 1)}") from None


def _read(path: Path, *, above: list[Path]) -> Entries:
    """Reads the entries of a file, over those of the files that it builds on; `data` is a list."""
    if path.resolve() in above:
        raise RecipeError(f"{path} builds on itself; its `base` must be another recipe")
    entries = read_yaml(path, TextLoader)
    if not isinstance(entries, dict):
        raise RecipeError(f"{path} must hold entries such as `name: camvid`, got {entries!r}")
    base = entries.pop("base", None)
    if base is None:
        return _merged({}, entries, path)
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base must be the path of another recipe, got {base}")
    return _merged(_read(path.parent / base, above=[*above, path.resolve()]), entries, path)


def _overridden(entries: Entries, text: str, path: Path) -> Entries:
    """Changes the entries as a `key=value` of the command line says."""
    match = re.fullmatch(r"(?:data\.(\d+)\.|(\w+)\.)?(\w+)=(.+)", text, re.DOTALL)
    if not match:
        raise RecipeError(f"expected key=value, such as data.root=/data/camvid, got {text!r}")
    place, section, key, value = match.groups()
    if place is None:
        return _merged(entries, {section: {key: value}} if section else {key: value}, path)
    sets = list(entries.get("data", []))
    if int(place) >= len(sets):
        raise RecipeError(f"expected the number of a data set, from 0 and below {len(sets)}, got {text!r}")
    sets[int(place)] = {**sets[int(place)], key: value}
    return {**entries, "data": sets}


def _merged(entries: Entries, changes: Entries, path: Path) -> Entries:
    """Changes entries; those of a section are changed one by one."""
    merged = {**entries, **changes}
    for name, below in entries.items():
        if isinstance(below, dict) and isinstance(merged[name], dict):
            merged[name] = {**below, **merged[name]}
    if "data" in changes:
        merged["data"] = _changed_sets(entries.get("data", [{}]), changes["data"], path)
    return merged


def _changed_sets(sets: Sequence[Entries], changes: Any, path: Path) -> list[Entries]:
    """Changes the entries of every data set, or where the changes are a list, makes that list of data sets.

    Each of a list has what it does not state from the one data set before, or what the data sets have in common.
    """
    if isinstance(changes, dict):
        return [{**entries, **changes} for entries in sets]
    listed = changes if isinstance(changes, list) else [changes]
    other = [entries for entries in listed if not isinstance(entries, dict)]
    if not listed or other:
        found = repr(other[0]) if other else "an empty list"
        raise RecipeError(f"{path}: data must be the entries of a data set, or a list of such, got {found}")
    inherited = {**(sets[0] if len(sets) == 1 else _common(sets)), **_common(listed)}
    return [{**inherited, **entries} for entries in listed]


def _common(sets: Sequence[Entries]) -> Entries:
    """The entries that are the same for all data sets (`COMMON`), where a data set states them."""
    return {key: entries[key] for entries in sets for key in COMMON & entries.keys()}


def _joined(sets: Sequence[Entries], path: Path) -> Entries:
    """Makes the section `data` of a DataRecipe: `sets`, and the entries that are the same for all."""
    sets = [_given(entries) for entries in sets]
    common: Entries = {}
    for key in sorted(COMMON):
        stated = [entries.pop(key) for entries in sets if key in entries]
        if any(value != stated[0] for value in stated):
            values = " and ".join(map(str, stated))
            raise RecipeError(f"{path}: data.{key} must be the same for all data sets, got {values}")
        common.update({key: stated[0]} if stated else {})
    return {"sets": sets, **common}


def _given(entries: Entries) -> Entries:
    return {key: value for key, value in entries.items() if value != MISSING}


def _problem(error: ValidationError, *, several: bool) -> str:
    """The first entry that cannot be used, and why; or else all that are missing.

    Args:
        several: there are several data sets, which have numbers.
    """
    problems = error.errors()
    wrong = next((problem for problem in problems if problem["type"] != "missing"), None)
    if wrong is None:
        missing = [_place(problem["loc"], several=several) for problem in problems]
        return f"{', '.join(missing)} missing; give each on the command line, as {missing[0]}=..."
    entry = _place(wrong["loc"], several=several)
    if wrong["type"] == "unexpected_keyword_argument":
        section = entry.split(".")[0] if "." in entry else None
        return f"{entry} is unknown; {section or 'a recipe'} has {', '.join(_known(section))}"
    own = wrong["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    words = PROBLEMS.get(wrong["type"], own)
    return f"{entry} {words}, got {wrong['input']!r}"


def _place(location: Sequence[str | int], *, several: bool) -> str:
    """An entry's name as it is written in a recipe, such as data.1.root or augmentation.crop."""
    if tuple(location[:2]) != ("data", "sets"):
        return ".".join(map(str, location[:2]))
    return ".".join(map(str, ["data", *location[2 if several else 3 : 4]]))


def _known(section: str | None) -> list[str]:
    """The entries of a section, or of a recipe."""
    kind = get_type_hints(Recipe)[section] if section else Recipe
    known = [*fields(DataSetRecipe), *fields(DataRecipe)] if kind is DataRecipe else fields(kind)
    return [field.name for field in known if field.name != "sets"]
