# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reads a recipe: a YAML file, the files that it builds on, and overrides such as `data.root=/data/camvid`."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, Sequence, get_type_hints

from pydantic import ValidationError

from bisenet_training.errors import RecipeError
from bisenet_training.trainer.recipe import Recipe
from bisenet_training.yaml_file import TextLoader, read_yaml

MISSING = "???"
"""The value of an entry that the command line has to give."""
PROBLEMS = {
    **dict.fromkeys(("string_type", "int_type", "float_type", "bool_type"), "must be a single value"),
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list such as [480, 640]",
}
"""Pydantic's types of errors, in words for a user."""
Entries = dict[str, Any]
"""Names and values; a value is text, a list, or the entries of a section."""


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides, the last of which holds.

    A recipe may build on another, `base: ../camvid.yaml`, relative to itself, and then states what it changes.

    Raises:
        YamlError: a file cannot be read.
        RecipeError: an entry is unknown, missing, of the wrong type, or out of range.
    """
    entries = _entries_of(path, above=[])
    for override in overrides:
        entries = _merged(entries, _override(override))
    for section in get_type_hints(Recipe).keys() - {"name"}:
        stated = entries.get(section)
        entries[section] = _given(stated) if isinstance(stated, dict) else {}
    try:
        return Recipe(**_given(entries))
    except ValidationError as error:
        raise RecipeError(f"{path}: {_problem(error)}") from None


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


def _override(text: str) -> Entries:
    """The entries that a `key=value` of the command line stands for."""
    match = re.fullmatch(r"(?:(\w+)\.)?(\w+)=(.+)", text, re.DOTALL)
    if not match:
        raise RecipeError(f"expected key=value, such as data.root=/data/camvid, got {text!r}")
    section, key, value = match.groups()
    return {section: {key: value}} if section else {key: value}


def _merged(entries: Entries, changes: Entries) -> Entries:
    """The entries with the changes; those of a section are merged one by one."""
    merged = dict(entries)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged


def _given(entries: Entries) -> Entries:
    return {key: value for key, value in entries.items() if value != MISSING}


def _problem(error: ValidationError) -> str:
    """The first entry that cannot be used, and why; or else all that are missing."""
    problems = error.errors()
    wrong = next((problem for problem in problems if problem["type"] != "missing"), None)
    if wrong is None:
        missing = [".".join(map(str, problem["loc"])) for problem in problems]
        return f"{', '.join(missing)} missing; give each on the command line, as {missing[0]}=..."
    section, *key = map(str, wrong["loc"][:2])
    entry = ".".join([section, *key])
    if wrong["type"] == "unexpected_keyword_argument":
        what, kind = (section, get_type_hints(Recipe)[section]) if key else ("a recipe", Recipe)
        return f"{entry} is unknown; {what} has {', '.join(field.name for field in fields(kind))}"
    words = PROBLEMS.get(wrong["type"], wrong["msg"].removeprefix("Value error, "))
    return f"{entry} {words}, got {wrong['input']!r}"
