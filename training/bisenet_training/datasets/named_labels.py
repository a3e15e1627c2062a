"""Label sets that come as lists of names."""

from __future__ import annotations

import pkgutil
from typing import Tuple

from bisenet_ros.labels import Label, LabelSet


def named_labels(file: str) -> LabelSet:
    """The classes that a file of `label_sets/` names, one a line, in Pascal VOC's colours."""
    text = pkgutil.get_data("bisenet_training", f"label_sets/{file}")
    assert text is not None
    names = text.decode().splitlines()
    return LabelSet(tuple(Label(name, voc_colour(i)) for i, name in enumerate(names, start=1)))


def voc_colour(index: int) -> Tuple[int, int, int]:
    """Pascal VOC's RGB colour of an index of 0 to 255, each another; 0 is black.

    Every third bit of the index belongs to one channel, the lowest bits to the channel's highest.
    """
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red, green, blue
