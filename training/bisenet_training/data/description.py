# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A data set, described by the entries of a YAML file. `find_dataset.py` reads it.

    base: cityscapes                      # optional: another data set, whose entries hold where this file states none
    license: CC BY 4.0                    # optional, as is `origin`: printed by `bisenet check-dataset`
    images: images/{split}/{name}.jpg     # below the data set's folder; * stands for any text within a name
    labels: labels/{split}/{name}.png
    listing: "{split}.txt"                # optional: the names of a split's frames, one a line
    splits: [train, val]                  # optional: the one to train on, the one to validate with
    encoding: ids                         # one number for each pixel; `palette`, the indices of palettes; `colors`, RGB
    ignore: [255]                         # optional: the values of unlabeled pixels
    padding: [640, 640]                   # optional: height and width that smaller frames are padded to for evaluation
    network_size: full                    # optional: that of frames for evaluation: card, half, full or WIDTHxHEIGHT
    classes:                              # in the order of their train ids
      - {name: lawn, color: [0, 128, 0]}                  # value 0, its place in this list
      - {name: path, color: [128, 64, 128], values: [1, 7]}

`color` is the color that masks are drawn in, by default Pascal VOC's. `values` are the values in the label files: by
default the class's place with `encoding: ids` or `palette`, its color with `colors`, where they are written as
`[[0, 128, 0], [0, 64, 0]]`. Label files that end in .mat are MATLAB's, whose variable S holds ids.

Instead of {name} alone, a frame may be told by several texts that image and label file have in common, as in
`{scene}/camera/{camera}/*_{name}.png`; its name is then "scene/camera/name".

Splits that are not called as their folders are, or lie in one folder, are described one by one; the first is to train
on, the second to validate with:

    splits:
      train: {parts: [training], names: ["*[!9]"], frames: 9000}
      val: {parts: [training], names: ["*9"], frames: 1000}

`parts` are what `{split}` stands for, by default the split's name. `names` are patterns of the frames' names, as a
shell has them, by default "*". `frames` is how many frames the split has as published.
"""

import re
from typing import Any, Collection, Mapping, NamedTuple, Sequence

from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.input_size import CARD, LONGEST_SIDE, SizeError, check_size_choice
from bisenet_training.data.label_encoding import ColorEncoding, IdEncoding, LabelEncoding
from bisenet_training.data.layout import SET_SPLIT, Layout, pieces_of
from bisenet_training.errors import DataError

REQUIRED = ("images", "labels", "encoding", "classes")
OPTIONAL = ("listing", "splits", "ignore", "padding", "network_size", "license", "origin")
LARGEST_ID = 2**16 - 1


class Split(NamedTuple):
    """Which frames a split has.

    Attributes:
        parts: what `{split}` stands for in the layout.
        names: shell patterns of the frames' names.
        frames: their number as published; None where it is not known.
    """

    parts: tuple[str, ...]
    names: tuple[str, ...] = ("*",)
    frames: int | None = None


class Description(NamedTuple):
    """A data set as its YAML file describes it.

    Attributes:
        classes: by train id.
        layout: where the files lie.
        encoding: how the label files are decoded.
        splits: the split to train on, and the one to validate with.
        known_splits: what is known of splits, by name; where files or lists are named after splits, there may be more.
        padding: (height, width) that smaller frames are padded to before they are scored; (0, 0) for none.
        size_choice: how frames are resized for the network to be scored, a `choice` of `network_size`; in the file
            `network_size`, as in the node's parameters.
        license, origin: human-readable.
    """

    classes: ClassMap
    layout: Layout
    encoding: LabelEncoding
    splits: tuple[str, str] = ("train", "val")
    known_splits: Mapping[str, Split] = {}
    padding: tuple[int, int] = (0, 0)
    size_choice: str = CARD
    license: str = ""
    origin: str = ""

    def find_split(self, name: str) -> Split:
        """A split of this name; raises DataError if it is not described, and no folder or list is named after it."""
        if name not in self.known_splits and not self.layout.by_split:
            raise DataError(
                f"the data set has the splits {', '.join(self.known_splits)}, got {name!r}; name one of them, "
                f"{SET_SPLIT}"
            )
        return self.known_splits.get(name, Split((name,)))


def make_description(entries: Any) -> Description:
    """Makes a description of what its YAML file holds.

    Raises:
        DataError: an entry is unknown, missing, or contradicts another.
        ClassMapError: the classes cannot be used.
    """
    _check_keys("a data set", entries, REQUIRED, OPTIONAL)
    classes = entries["classes"]
    if not isinstance(classes, list):
        raise DataError(f"classes must be a list, got {classes!r}")
    for entry in classes:
        color = "colour" if isinstance(entry, dict) and "colour" in entry else "color"  # "colour" in version 0.1.0
        _check_keys("a class", entry, ("name",), (color, "values"))
    class_map = ClassMap.from_list([{"id": i, "color": voc_color(i + 1), **entry} for i, entry in enumerate(classes)])
    encoding = _encoding(entries["encoding"], classes, class_map, entries.get("ignore", []))
    known_splits = _known_splits(entries.get("splits"))
    return Description(
        classes=class_map,
        layout=_layout(entries, known_splits),
        encoding=encoding,
        splits=_splits(list(known_splits)[:2] if known_splits else entries.get("splits", ["train", "val"])),
        known_splits=known_splits,
        padding=_padding(entries.get("padding", [0, 0])),
        size_choice=_size_choice(entries.get("network_size", CARD)),
        **{key: _text(key, entries[key]) for key in ("license", "origin") if key in entries},
    )


def voc_color(index: int) -> list[int]:
    """Pascal VOC's RGB color of an index of 0 to 255; no two are the same, 0 is black.

    Every third bit of the index belongs to one channel, the lowest bits to the channel's highest.
    """
    return [sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)]


def _check_keys(what: str, entries: Any, required: Collection[str], optional: Collection[str]) -> None:
    if not isinstance(entries, dict):
        raise DataError(
            f"{what} is written as entries such as `{next(iter(required or optional))}: ...`, got {entries!r}"
        )
    missing = [key for key in required if key not in entries]
    unknown = [str(key) for key in entries if key not in {*required, *optional}]
    if missing or unknown:
        problems = [f"{', '.join(missing)} missing"] if missing else []
        problems += [f"{', '.join(unknown)} unknown"] if unknown else []
        known = [f"has the entries {', '.join(required)}"] if required else []
        known += [f"may have {', '.join(optional)}"]
        raise DataError(f"{what} {' and '.join(known)}; {' and '.join(problems)}")


def _layout(entries: Mapping[str, Any], known_splits: Mapping[str, Split]) -> Layout:
    patterns = {key: entries[key] for key in ("images", "labels", "listing") if key in entries}
    for key, pattern in patterns.items():
        if not isinstance(pattern, str) or not pattern or pattern.startswith("/") or "**" in pattern:
            raise DataError(
                f"{key} must be a path below the data set's folder, whose * stay within a name, got {pattern!r}"
            )
        pieces = pieces_of(pattern)
        if len(set(pieces)) < len(pieces) or set("{}") & set(re.sub(r"\{\w+\}", "", pattern)):
            raise DataError(f"{key} holds {{split}} and each other {{word}} once, and no other braces, got {pattern!r}")
        if (key == "listing") == ("{name}" in pieces) or key == "listing" and pieces:
            raise DataError(f"images and labels hold {{name}} once, listing does not; {key} is {pattern!r}")
    images, labels = pieces_of(patterns["images"]), pieces_of(patterns["labels"])
    if sorted(images) != sorted(labels):
        raise DataError(
            f"images and labels must have the same words in braces but {{split}}; images has {', '.join(images)}, "
            f"labels {', '.join(labels)}"
        )
    layout = Layout(**patterns)
    told_by_name = known_splits and all(split.names != ("*",) for split in known_splits.values())
    if not layout.by_split and not told_by_name:
        raise DataError("images or listing must hold {split}, or else all splits would be the same frames")
    return layout


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
    if not set(train_ids.values()) - {IGNORE}:
        raise DataError("at least one class must have values, got none of any class")
    return ColorEncoding(train_ids) if colors else IdEncoding(train_ids, palette=encoding == "palette")


def _known_splits(splits: Any) -> dict[str, Split]:
    if not isinstance(splits, dict):
        return {}
    found = {}
    for name, entry in splits.items():
        _check_keys(f"split {name}", entry, (), ("parts", "names", "frames"))
        parts, names, frames = entry.get("parts", [name]), entry.get("names", ["*"]), entry.get("frames")
        for key, texts in (("parts", parts), ("names", names)):
            if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
                raise DataError(f"{key} of split {name} must be a list of texts, got {texts!r}")
        if frames is not None and (type(frames) is not int or frames < 1):
            raise DataError(f"frames of split {name} must be a number of frames, got {frames!r}")
        found[str(name)] = Split(tuple(parts), tuple(names), frames)
    return found


def _splits(splits: Any) -> tuple[str, str]:
    if not isinstance(splits, list) or len(splits) != 2 or not all(isinstance(split, str) for split in splits):
        raise DataError(f"splits must name the one to train on and the one to validate with, got {splits!r}")
    return splits[0], splits[1]


def _size_choice(choice: Any) -> str:
    try:
        check_size_choice(str(choice))
    except SizeError as error:
        raise DataError(f"network_size: {error}") from None
    return str(choice)


def _padding(size: Any) -> tuple[int, int]:
    sides = size if isinstance(size, list) else []
    if len(sides) != 2 or not all(type(side) is int and 0 <= side <= LONGEST_SIDE for side in sides):
        raise DataError(f"padding must be a height and a width of up to {LONGEST_SIDE} pixels, got {size!r}")
    return sides[0], sides[1]


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{key} must be a text, got {value!r}")
    return value.strip()


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LARGEST_ID


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(c) is int and 0 <= c <= 255 for c in value)
