# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Classes that come as a list of names."""

import pkgutil

from bisenet_ros.model.class_map import ClassMap, SegmentationClass


def named_classes(file: str) -> ClassMap:
    """The classes that a file of `class_names/` names, one a line, in Pascal VOC's colors."""
    text = pkgutil.get_data("bisenet_training.data", f"class_names/{file}")
    assert text is not None
    names = text.decode().splitlines()
    return ClassMap(tuple(SegmentationClass(name, voc_color(i)) for i, name in enumerate(names, start=1)))


def voc_color(index: int) -> tuple[int, int, int]:
    """Pascal VOC's RGB color of an index of 0 to 255; no two are the same, 0 is black.

    Every third bit of the index belongs to one channel, the lowest bits to the channel's highest.
    """
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red, green, blue
