"""Reads a recipe: a YAML file, the files that it builds on, and overrides such as `data.root=/data/camvid`.

The type of an entry follows from the recipe's fields, not from YAML, so that `name=0512` stays text.
"""

from __future__ import annotations

import math
import re
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union, get_args, get_origin, get_type_hints

import yaml

from bisenet_training.errors import RecipeError
from bisenet_training.trainer.recipe import Recipe, check_recipe
from bisenet_training.yaml_file import TextLoader, read_yaml

NULL = ("null", "~", "")
MISSING = "???"
"""The value of an entry that the command line has to give."""
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
Entries = Dict[str, Any]
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
    missing: List[str] = []
    try:
        recipe = _section(Recipe, entries, "", missing)
        if missing:
            raise RecipeError(f"{', '.join(missing)} missing; give each on the command line, as {missing[0]}=...")
        check_recipe(recipe)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None
    return recipe


def _entries_of(path: Path, *, above: List[Path]) -> Entries:
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


def _section(kind: Any, entries: Any, prefix: str, missing: List[str]) -> Any:
    """The dataclass `kind` with the entries as its fields; None, with their names in `missing`, if some are not there.

    Raises:
        RecipeError: there is an entry without a field, or one of another type.
    """
    fields = get_type_hints(kind)
    stated = entries if isinstance(entries, dict) else {}
    for key in stated:
        if key not in fields:
            raise RecipeError(f"{prefix}{key} is unknown; {prefix.rstrip('.') or 'a recipe'} has {', '.join(fields)}")
    values = {}
    for key, hint in fields.items():
        value = stated.get(key, MISSING)
        if is_dataclass(hint):
            values[key] = _section(hint, value, f"{prefix}{key}.", missing)
        elif value == MISSING:
            missing.append(prefix + key)
        else:
            values[key] = _converted(hint, value, prefix + key)
    return None if missing else kind(**values)


def _converted(kind: Any, value: Any, name: str) -> Any:
    """The value as the type of its field."""
    if get_origin(kind) is Union:  # Optional
        return None if value in NULL else _converted(get_args(kind)[0], value, name)
    if get_origin(kind) is list:
        return [_converted(get_args(kind)[0], part, name) for part in _list(value, name)]
    if not isinstance(value, str):
        raise RecipeError(f"{name} must be a single value, got {value!r}")
    return _scalar(kind, value, name)


def _list(value: Any, name: str) -> List[Any]:
    """A list as it is in a file, or as the text that it is on the command line."""
    try:
        parts = yaml.load(value, Loader=TextLoader) if isinstance(value, str) else value
    except yaml.YAMLError:
        parts = None
    if not isinstance(parts, list):
        raise RecipeError(f"{name} must be a list such as [480, 640], got {value!r}")
    return parts


def _scalar(kind: Any, text: str, name: str) -> Union[str, bool, int, float]:
    if kind is str:
        if not text:
            raise RecipeError(f"{name} must not be empty")
        return text
    if kind is bool:
        if text.lower() not in BOOLEANS:
            raise RecipeError(f"{name} must be true or false, got {text!r}")
        return BOOLEANS[text.lower()]
    try:
        number = kind(text)
    except ValueError:
        raise RecipeError(f"{name} must be a {'whole ' if kind is int else ''}number, got {text!r}") from None
    if not math.isfinite(number):
        raise RecipeError(f"{name} must be a finite number, got {text}")
    return number
