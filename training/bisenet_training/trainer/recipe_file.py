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
}
"""Pydantic's types of errors whose own words are not for a user."""
COMMON = get_type_hints(DataRecipe).keys() - {"sets"}
"""What is the same for all data sets of a recipe, so that it is enough to state it once."""
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
    entries = _entries_of(path, above=[])
    for override in overrides:
        entries = _overridden(entries, override)
    sets = entries.get("data")
    entries["data"] = _joined(sets if isinstance(sets, list) else [sets], path)
    for section in get_type_hints(Recipe).keys() - {"name"}:
        stated = entries.get(section)
        entries[section] = _given(stated) if isinstance(stated, dict) else {}
    try:
        return Recipe(**_given(entries))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_problem(error, several=isinstance(sets, list))}") from None


def _entries_of(path: Path, *, above: list[Path]) -> Entries:
    """The entries of a file, over those of the files that it builds on."""
    if path.resolve() in above:
        raise RecipeError(f"{path} builds on itself; its `base` must be another recipe")
    entries = read_yaml(path, TextLoader)
    if not isinstance(entries, dict):
        raise RecipeError(f"{path} must hold entries such as `name: camvid`, got {entries!r}")
    base = entries.pop("base", None)
    if base is None:
        return entries
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base must be the path of another recipe, got {base}")
    return _merged(_entries_of(path.parent / base, above=[*above, path.resolve()]), entries)


def _overridden(entries: Entries, text: str) -> Entries:
    """The entries with what a `key=value` of the command line says."""
    match = re.fullmatch(r"(?:(\w+)\.(?:(\d+)\.)?)?(\w+)=(.+)", text, re.DOTALL)
    if not match:
        raise RecipeError(f"expected key=value, such as data.root=/data/camvid, got {text!r}")
    section, place, key, value = match.groups()
    if place is None:
        return _merged(entries, {section: {key: value}} if section else {key: value})
    listed = entries.get(section)
    if not isinstance(listed, list) or int(place) >= len(listed):
        count = len(listed) if isinstance(listed, list) else "no list of"
        raise RecipeError(f"the recipe has {count} entries of {section}, which are counted from 0, got {text!r}")
    changed = _merged({section: listed[int(place)]}, {section: {key: value}})[section]
    return {**entries, section: [*listed[: int(place)], changed, *listed[int(place) + 1 :]]}


def _merged(entries: Entries, changes: Entries) -> Entries:
    """The entries with the changes; those of a section are merged one by one, into each of a list."""
    merged = dict(entries)
    for key, value in changes.items():
        below = merged.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            merged[key] = {**below, **value}
        elif isinstance(below, list) and isinstance(value, dict):
            merged[key] = [_merged({key: entry}, {key: value})[key] for entry in below]
        elif isinstance(below, (dict, list)) and isinstance(value, list):
            inherited = {**(below if isinstance(below, dict) else _common(below)), **_common(value)}
            merged[key] = [_merged({key: inherited}, {key: entry})[key] for entry in value]
        else:
            merged[key] = value
    return merged


def _common(sets: Sequence[Any]) -> Entries:
    """What the entries of a list say of all data sets."""
    return {key: entries[key] for entries in sets if isinstance(entries, dict) for key in COMMON & entries.keys()}


def _joined(sets: Sequence[Any], path: Path) -> Entries:
    """The section of several data sets, whose entries are their own but for what they have in common."""
    other = [entries for entries in sets if not isinstance(entries, dict | None)]
    if not sets or other:
        found = repr(other[0]) if other else "an empty list"
        raise RecipeError(f"{path}: data must be the entries of a data set, or a list of such, got {found}")
    sets = [_given(entries or {}) for entries in sets]
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
        several: data is a list, whose entries have numbers.
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
