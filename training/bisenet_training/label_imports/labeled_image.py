# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""An image and what a labeling tool says of it."""

import json
from pathlib import Path
from typing import Any, Callable, Mapping, NamedTuple

import numpy as np

from bisenet_training.errors import DataError

UNLABELED = "_background_"
"""labelme's label of pixels in which nobody has drawn anything."""
FARTHEST = 2**16
"""Coordinate or side in pixels, above the side of any JPEG; beyond it what draws regions overflows."""
IGNORED = "__ignore__"
"""labelme's label of regions that are to be ignored."""


class LabeledImage(NamedTuple):
    """An image and its regions.

    Attributes:
        image: the image file.
        source: the file that the labels are from, for messages.
        labels: names of the classes of its regions; the number of regions may be 0.
        draw: the train id of every pixel, H x W uint8, from the ids of all labels and the id of pixels in no region.
            Of regions that overlap the later one counts. Raises DataError where a region cannot be drawn.
    """

    image: Path
    source: Path
    labels: frozenset[str]
    draw: Callable[[Mapping[str, int], int], np.ndarray]


def read_json(path: Path) -> Any:
    """What a JSON file holds; raises DataError if it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"expected a JSON file at {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no UTF-8, or no JSON
        raise DataError(f"{path} is not a JSON file ({error}); export it again") from None


def read_size(entries: Mapping[str, Any], height: str, width: str, *, source: Path) -> tuple[int, int]:
    """An image's height and width, by the names of their entries.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: one is missing or no number. DataError, beginning with
            `source`: it is no size.
    """
    sides = float(entries[height]), float(entries[width])
    if not all(1 <= side <= FARTHEST for side in sides):
        raise DataError(
            f"{source}: {height} and {width} must be from 1 to {FARTHEST}, got {sides[0]:g} and {sides[1]:g}"
        )
    return int(sides[0]), int(sides[1])
