# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Decodes label files: one number or one color for each pixel."""

from itertools import groupby
from pathlib import Path
from typing import Callable, Mapping, Sequence, Union

import numpy as np

from bisenet_ros.images.label_file import read_label_colors, read_label_file
from bisenet_training.data.matlab_labels import read_matlab_labels
from bisenet_training.errors import DataError

Color = tuple[int, int, int]
UNKNOWN = -1
MOST_NAMED = 5
"""Unknown values that a message names."""
NOISE = 16
"""How far a channel of a class's color may be off after JPEG, or after a resize that interpolates."""


class IdEncoding:
    """One number a pixel.

    Args:
        train_ids: the train id of each number of 0 to 65535, 255 where it is to be ignored.
        palette: the indices of a palette with colors are such numbers; else a file with one is refused.
    """

    def __init__(self, train_ids: Mapping[int, int], *, palette: bool = True) -> None:
        self.train_ids = train_ids
        self._palette = palette
        self._expected = _ranges(sorted(train_ids))
        self._table = np.full(2**16, UNKNOWN, np.int16)
        self._table[list(train_ids)] = list(train_ids.values())
        self._numbers = np.zeros(256, np.uint8 if max(train_ids) < 256 else np.uint16)
        for number, train_id in reversed(list(train_ids.items())):
            self._numbers[train_id] = number

    def merged(self, ids: np.ndarray) -> "IdEncoding":
        """The encoding of merged classes: 256 uint8 `ids` has the new train id of each train id."""
        return IdEncoding({number: int(ids[old]) for number, old in self.train_ids.items()}, palette=self._palette)

    def read_file(self, path: Path) -> np.ndarray:
        """The numbers in a label file: an image, or a MATLAB file; raises DataError or ImageError."""
        return read_matlab_labels(path) if path.suffix == ".mat" else read_label_file(path, palette=self._palette)

    def decode(self, pixels: np.ndarray) -> np.ndarray:
        """Decodes H x W uint8 or uint16 to uint8 train ids; raises DataError for other pixels or unknown numbers."""
        if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
            raise DataError(
                f"must hold one number of 8 or 16 bits for each pixel, got {pixels.dtype} of shape {pixels.shape}"
            )
        ids = np.take(self._table, pixels)
        unknown = ids == UNKNOWN
        if unknown.any():
            raise DataError(f"holds value {_counted(pixels[unknown], str)}, expected {self._expected}")
        return ids.astype(np.uint8)

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """Encodes H x W uint8 train ids as H x W uint8 or uint16: the first number of each."""
        return self._numbers[mask]


class ColorEncoding:
    """One RGB color a pixel; `train_ids` has the train id of each color, 255 where it is ignored."""

    read_file = staticmethod(read_label_colors)

    def __init__(self, train_ids: Mapping[Color, int]) -> None:
        self.train_ids = train_ids
        packed = {red << 16 | green << 8 | blue: train_id for (red, green, blue), train_id in train_ids.items()}
        self._colors = np.array(sorted(packed), np.int32)
        self._train_ids = np.array([packed[color] for color in sorted(packed)], np.uint8)
        self._bgr = np.zeros((256, 3), np.uint8)
        for color, train_id in reversed(list(train_ids.items())):
            self._bgr[train_id] = color[::-1]

    def merged(self, ids: np.ndarray) -> "ColorEncoding":
        """The encoding of merged classes: `ids` has the new train id of each old one."""
        return ColorEncoding({color: int(ids[old]) for color, old in self.train_ids.items()})

    def decode(self, pixels: np.ndarray) -> np.ndarray:
        """Decodes H x W x 3 uint8 BGR to H x W uint8 train ids; raises DataError for a color of no class."""
        blue, green, red = (pixels[..., channel].astype(np.int32) for channel in range(3))
        packed = red << 16 | green << 8 | blue
        places = np.searchsorted(self._colors, packed).clip(max=len(self._colors) - 1)
        unknown = self._colors[places] != packed
        if unknown.any():
            colors = _counted(packed[unknown], lambda color: f"({color >> 16}, {color >> 8 & 255}, {color & 255})")
            raise DataError(
                f"holds RGB colors other than the {len(self._colors)} known ones: {colors}"
                f"{self._explain_noise(packed[unknown])}"
            )
        return self._train_ids[places]

    def _explain_noise(self, unknown: np.ndarray) -> str:
        """What to do about pixels whose color is nearly that of a class: they are not rounded to it."""
        colors, counts = np.unique(unknown, return_counts=True)
        near = np.zeros(len(colors), bool)
        for known in self._colors:
            channels = [np.abs((colors >> shift & 255) - (known >> shift & 255)) for shift in (16, 8, 0)]
            near |= np.max(channels, axis=0) <= NOISE
        if not near.any():
            return ""
        return (
            f"; {counts[near].sum()} of these {len(unknown)} pixels are within {NOISE} of a known color, as after JPEG "
            "or a resize that interpolates: save label files without loss, and resize them to the nearest pixel"
        )

    def encode(self, mask: np.ndarray) -> np.ndarray:
        """Encodes H x W uint8 train ids as H x W x 3 uint8 BGR: the first color of each."""
        return self._bgr[mask]


LabelEncoding = Union[IdEncoding, ColorEncoding]


def _counted(values: np.ndarray, describe: Callable[[int], str]) -> str:
    """The commonest values, each with its number of pixels."""
    different, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMED]
    shown = ", ".join(f"{describe(int(different[i]))} ({counts[i]} pixels)" for i in order)
    return shown + (f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else "")


def _ranges(values: Sequence[int]) -> str:
    """Sorted numbers as "0 to 10, 255"."""
    runs = [[value for _, value in run] for _, run in groupby(enumerate(values), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]} to {run[-1]}" if run[1:] else f"{run[0]}" for run in runs)
