# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A data set of your own, described by a YAML file:

    images: images/{split}/{name}.jpg     # below the data set's folder; * stands for any text within a name
    labels: labels/{split}/{name}.png
    listing: "{split}.txt"                # optional: the names of a split's frames, one a line
    splits: [train, val]                  # optional: the one to train on, the one to validate with
    encoding: ids                         # one number for each pixel; `palette`, the indices of palettes; `colors`, RGB
    ignore: [255]                         # optional: the values of unlabeled pixels
    classes:                              # in the order of their train ids
      - {name: lawn, color: [0, 128, 0]}                  # value 0, its place in this list
      - {name: path, color: [128, 64, 128], values: [1, 7]}

`color` is the color that masks are drawn in. `values` are the values in the label files: by default the class's place
with `encoding: ids` or `palette`, its color with `colors`, where they are written as `[[0, 128, 0], [0, 64, 0]]`.
"""

from pathlib import Path
from typing import Any, Collection, Mapping, NamedTuple, Sequence

from bisenet_ros.model.class_map import IGNORE, ClassMap, ClassMapError
from bisenet_training.data.label_encoding import ColorEncoding, IdEncoding, LabelEncoding
from bisenet_training.data.layout import Layout
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError
from bisenet_training.yaml_file import read_yaml

REQUIRED = ("images", "labels", "encoding", "classes")
OPTIONAL = ("listing", "splits", "ignore")
CLASS_OPTIONAL = ("values",)
LARGEST_ID = 2**16 - 1


class Description(NamedTuple):
    """What such a YAML file holds: attributes of SegmentationDataset."""

    classes: ClassMap
    layout: Layout
    encoding: LabelEncoding
    splits: tuple[str, str]


class DescribedDataset(SegmentationDataset):
    """The data set that a YAML describes."""

    def __init__(self, description: Description, root: Path, split: str, **options: Any) -> None:
        self.classes, self.layout, self.encoding, self.splits = description
        super().__init__(root, split, **options)


def read_description(path: Path) -> Description:
    """Reads a YAML.

    Raises:
        YamlError: the file cannot be read.
        DataError: an entry is unknown, missing, or contradicts another.
    """
    entries = read_yaml(path)
    try:
        return _description(entries)
    except (DataError, ClassMapError) as error:
        raise DataError(f"{path}: {error}") from None


def _description(entries: Any) -> Description:
    _check_keys("a data set", entries, REQUIRED, OPTIONAL)
    classes = entries["classes"]
    if not isinstance(classes, list):
        raise DataError(f"classes must be a list, got {classes!r}")
    for entry in classes:
        color = "colour" if isinstance(entry, dict) and "colour" in entry else "color"  # "colour" in version 0.1.0
        _check_keys("a class", entry, ("name", color), CLASS_OPTIONAL)
    class_map = ClassMap.from_list([{"id": i, **entry} for i, entry in enumerate(classes)])
    encoding = _encoding(entries["encoding"], classes, class_map, entries.get("ignore", []))
    return Description(class_map, _layout(entries), encoding, _splits(entries.get("splits", ["train", "val"])))


def _check_keys(what: str, entries: Any, required: Collection[str], optional: Collection[str]) -> None:
    if not isinstance(entries, dict):
        raise DataError(f"{what} is written as entries such as `{next(iter(required))}: ...`, got {entries!r}")
    missing = [key for key in required if key not in entries]
    unknown = [str(key) for key in entries if key not in {*required, *optional}]
    if missing or unknown:
        problems = [f"{', '.join(missing)} missing"] if missing else []
        problems += [f"{', '.join(unknown)} unknown"] if unknown else []
        known = f"{', '.join(required)} and may have {', '.join(optional)}"
        raise DataError(f"{what} has the entries {known}; {' and '.join(problems)}")


def _layout(entries: Mapping[str, Any]) -> Layout:
    patterns = {key: entries[key] for key in ("images", "labels", "listing") if key in entries}
    for key, pattern in patterns.items():
        if not isinstance(pattern, str) or not pattern or pattern.startswith("/") or "**" in pattern:
            raise DataError(
                f"{key} must be a path below the data set's folder, whose * stay within a name, got {pattern!r}"
            )
        if pattern.count("{name}") != (0 if key == "listing" else 1):
            raise DataError(f"images and labels hold {{name}} once, listing does not; {key} is {pattern!r}")
        if set("{}") & set(pattern.replace("{name}", "").replace("{split}", "")):
            raise DataError(f"{key} may hold {{split}} and {{name}} and no other braces, got {pattern!r}")
    if "{split}" not in patterns["images"] + patterns.get("listing", ""):
        raise DataError("images or listing must hold {split}, or else all splits would be the same frames")
    return Layout(**patterns)


def _encoding(encoding: Any, classes: Sequence[Mapping[str, Any]], class_map: ClassMap, ignore: Any) -> LabelEncoding:
    if encoding == "colours":  # in version 0.1.0
        encoding = "colors"
    if encoding not in ("ids", "palette", "colors"):
        raise DataError(f"encoding must be ids, palette or colors, got {encoding!r}")
    colors = encoding == "colors"
    is_value, kind = (_is_color, "RGB colors") if colors else (_is_id, f"numbers of 0 to {LARGEST_ID}")
    defaults = [list(entry.color) for entry in class_map] if colors else range(len(classes))
    meanings = [("ignore", IGNORE, ignore)]
    meanings += [
        (str(entry["name"]), i, entry.get("values", [default]))
        for i, (entry, default) in enumerate(zip(classes, defaults))
    ]
    train_ids: dict[Any, int] = {}
    owners: dict[Any, str] = {}
    for owner, train_id, values in meanings:
        if not isinstance(values, list) or not all(is_value(value) for value in values):
            raise DataError(f"the values of {owner} must be a list of {kind}, got {values!r}")
        for value in values:
            key = tuple(value) if colors else value
            if key in owners:
                raise DataError(f"value {value} belongs to both {owners[key]} and {owner}; give it to one")
            train_ids[key], owners[key] = train_id, owner
    return ColorEncoding(train_ids) if colors else IdEncoding(train_ids, palette=encoding == "palette")


def _splits(splits: Any) -> tuple[str, str]:
    if not isinstance(splits, list) or len(splits) != 2 or not all(isinstance(split, str) for split in splits):
        raise DataError(f"splits must name the one to train on and the one to validate with, got {splits!r}")
    return splits[0], splits[1]


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(c) is int and 0 <= c <= 255 for c in value)
