"""A label set: what the ids of a mask mean, and the colours they are drawn in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

IGNORE = 255
"""The id of an unlabelled pixel, in masks and in ground truth."""


class LabelSetError(ValueError):
    """A label set that contradicts itself; the message says where."""


@dataclass(frozen=True)
class Label:
    """One class: its name and its RGB colour, 0 to 255."""

    name: str
    colour: Tuple[int, int, int]


@dataclass(frozen=True)
class LabelSet:
    """The classes of a model or a data set; the id of a class is its place."""

    labels: Tuple[Label, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> List[str]:
        return [label.name for label in self.labels]

    def colour_table(self) -> np.ndarray:
        """256 x 3 uint8 RGB: the colour of every id, black where there is no class."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = [label.colour for label in self.labels]
        return table

    def to_list(self) -> List[Dict[str, Any]]:
        return [{"id": i, "name": label.name, "colour": list(label.colour)} for i, label in enumerate(self.labels)]

    @staticmethod
    def from_list(entries: Sequence[Mapping[str, Any]]) -> LabelSet:
        """Reads `[{"id": 0, "name": "sky", "colour": [128, 128, 128]}, ...]`, in any order.

        Raises:
            LabelSetError: no class, more than 255, ids that are not 0 to N - 1 once each, a name given twice, or
                a colour that is not three numbers of 0 to 255.
        """
        if not isinstance(entries, (list, tuple)) or not 1 <= len(entries) <= IGNORE:
            count = len(entries) if isinstance(entries, (list, tuple)) else f"a {type(entries).__name__}"
            raise LabelSetError(f"a label set has a list of 1 to {IGNORE} classes, this one has {count}")
        labels: Dict[int, Label] = {}
        for entry in entries:
            label_id, label = _read_label(entry)
            if label_id in labels:
                raise LabelSetError(
                    f"class id {label_id} is used twice, for {labels[label_id].name!r} and {label.name!r}; "
                    "give each an id of its own"
                )
            if label.name in (other.name for other in labels.values()):
                raise LabelSetError(f"class name {label.name!r} is used twice; give each class a name of its own")
            labels[label_id] = label
        if sorted(labels) != list(range(len(labels))):
            raise LabelSetError(f"class ids must be 0 to {len(labels) - 1} without a gap, got {sorted(labels)}")
        return LabelSet(tuple(labels[i] for i in range(len(labels))))


def _read_label(entry: Mapping[str, Any]) -> Tuple[int, Label]:
    try:
        label_id, name, colour = entry["id"], entry["name"], tuple(entry["colour"])
    except (KeyError, TypeError):
        raise LabelSetError(f"a class is written as id, name and colour, got {entry!r}") from None
    if type(label_id) is not int or not isinstance(name, str):
        raise LabelSetError(f"a class has a whole number as id and a text as name, got {label_id!r} and {name!r}")
    if len(colour) != 3 or not all(type(c) is int and 0 <= c <= 255 for c in colour):
        raise LabelSetError(f"the colour of {name!r} must be three whole numbers of 0 to 255, got {list(colour)}")
    return label_id, Label(name, colour)


CAMVID = LabelSet(
    (
        Label("sky", (128, 128, 128)),
        Label("building", (128, 0, 0)),
        Label("pole", (192, 192, 128)),
        Label("road", (128, 64, 128)),
        Label("sidewalk", (60, 40, 222)),
        Label("tree", (128, 128, 0)),
        Label("signsymbol", (192, 128, 128)),
        Label("fence", (64, 64, 128)),
        Label("car", (64, 0, 128)),
        Label("pedestrian", (64, 64, 0)),
        Label("bicyclist", (0, 128, 192)),
    )
)
"""CamVid's 11 classes in the usual order, in SegNet's display colours."""
