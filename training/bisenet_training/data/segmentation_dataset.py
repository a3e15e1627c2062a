# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reads a split of a data set on disk: images and targets."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Iterator, NamedTuple

import cv2
import numpy as np

from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.images.image_file import read_image, read_orientation
from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.input_size import CARD, size_text
from bisenet_training.data.description import Description
from bisenet_training.data.label_encoding import LabelEncoding
from bisenet_training.data.layout import SET_ROOT, Frame
from bisenet_training.errors import DataError

Pixels = tuple[np.ndarray, np.ndarray]
_cache_lock = Lock()  # of all data sets: one that had its own could not be pickled for loader processes


class Inspection(NamedTuple):
    """What was found in a frame that can be used.

    Attributes:
        name: the frame's.
        size: height and width.
        orientation: the image's EXIF tag; 1 is upright. The pixels are not turned by it.
        pixels: 256, int64: how many pixels have each train id.
        moments: 2 x 3, float64: the mean of RGB in 0 to 1, and of its square.
    """

    name: str
    size: tuple[int, int]
    orientation: int
    pixels: np.ndarray
    moments: np.ndarray


class SegmentationDataset:
    """The frames of a split; `dataset[i]` is H x W x 3 uint8 BGR and H x W uint8 train ids, 255 where unlabeled.

    A frame is decoded when it is first asked for, and kept while `cache_bytes` are not full. Loader processes share
    what was decoded before they were forked; `inspections` decodes everything. Both arrays are read-only. A file that
    is missing, is no image, has another size than its image, or holds a value of no class raises a BisenetError that
    names it, as does a frame that is listed again.

    Args:
        description: of the data set.
        root: the data set's folder.
        split: one of the data set's splits, or several without a common frame, joined by "+".
        cache_bytes: memory for decoded frames.
        labeled: False does without label files; then frames can only be read with `read_image`.

    Raises:
        DataError: the split is not there, or two joined ones have a frame in common.
    """

    description: Description
    classes: ClassMap
    encoding: LabelEncoding
    padding: tuple[int, int]
    size_choice: str = CARD  # of `network_size`, to be scored

    def __init__(
        self, description: Description, root: Path, split: str, *, cache_bytes: int = 0, labeled: bool = True
    ) -> None:
        self.description = description
        self.classes = description.classes
        self.encoding = description.encoding
        self.padding = description.padding
        self.size_choice = description.size_choice
        self.root = Path(root)
        self.split = split
        self.cache_bytes = cache_bytes
        self._free_bytes = cache_bytes
        self._cache: dict[int, Pixels] = {}
        if not self.root.is_dir():
            raise DataError(f"expected the data set's folder at {self.root}, found none; {SET_ROOT} to it")
        self._layout = description.layout if labeled else replace(description.layout, labels=None)
        self._frames = self._join([(part, frame) for part in split.split("+") for frame in self._find_frames(part)])

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def labeled(self) -> list[int]:
        """The train ids that label files of this kind can have."""
        return sorted({*self.encoding.train_ids.values()} - {IGNORE})

    @property
    def cached(self) -> int:
        """How many frames are kept decoded."""
        return len(self._cache)

    def name(self, index: int) -> str:
        """A short name of the frame, unique in the split."""
        return self._frames[index].name

    @property
    def image_files(self) -> list[Path]:
        """The frames' images, in their order."""
        return [frame.image for frame in self._frames]

    def read_image(self, index: int) -> np.ndarray:
        """The frame's image, H x W x 3 uint8 BGR, without its label file."""
        frame = self._frames[index]
        if frame.problem:
            raise DataError(frame.problem)
        return read_image(frame.image)

    def __getitem__(self, index: int) -> Pixels:
        if index in self._cache:
            return self._cache[index]
        try:
            pixels = self._read(self._frames[index])
        except (ImageError, OSError) as error:  # torch cannot bring these from a loader process
            raise DataError(str(error)) from error
        for array in pixels:
            array.flags.writeable = False
        self._keep(index, pixels)
        return pixels

    def inspections(self) -> Iterator[Inspection | str]:
        """Reads every frame, in several threads, and yields what was found in each or its problem, in order."""
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            yield from pool.map(self._inspect, range(len(self)))

    def _keep(self, index: int, pixels: Pixels) -> None:
        """Puts a frame into the cache if it fits."""
        size = sum(array.nbytes for array in pixels)
        with _cache_lock:
            if size <= self._free_bytes:
                self._free_bytes -= size
                self._cache[index] = pixels

    def _find_frames(self, split: str) -> list[Frame]:
        found = self.description.find_split(split)
        frames = [(part, frame) for part in found.parts for frame in self._layout.frames(self.root, part)]
        chosen = [(part, it) for part, it in frames if any(fnmatchcase(it.name, name) for name in found.names)]
        if not chosen:
            raise DataError(
                f"split {split} has no frame: none of the {len(frames)} in {self.root}, such as {frames[0][1].name}, "
                f"is named {' or '.join(found.names)}"
            )
        return _told_apart(chosen) if found.parts[1:] else [frame for _, frame in chosen]

    def _join(self, parts: list[tuple[str, Frame]]) -> list[Frame]:
        images = set()
        for part, frame in parts:
            if frame.image in images and not frame.problem:
                raise DataError(f"split {self.split} has {frame.name} twice, again in {part}; join splits without it")
            images.add(frame.image)
        return _told_apart(parts)

    def _read(self, frame: Frame) -> Pixels:
        if frame.problem:
            raise DataError(frame.problem)
        assert frame.label_file is not None
        missing = [str(path) for path in (frame.image, frame.label_file) if not path.is_file()]
        if missing:
            raise DataError(f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} missing")
        image = read_image(frame.image)
        pixels = self.encoding.read_file(frame.label_file)
        if pixels.shape[:2] != image.shape[:2]:
            raise DataError(
                f"{frame.label_file} is {size_text(pixels.shape)}, expected {size_text(image.shape)} as {frame.image}"
                f"{_explain_orientation(frame.image)}"
            )
        try:
            return image, self.encoding.decode(pixels)
        except DataError as error:
            raise DataError(f"{frame.label_file} {error}") from None

    def _inspect(self, index: int) -> Inspection | str:
        try:
            image, target = self[index]
        except (BisenetError, OSError) as error:
            return str(error)
        mean, deviation = (bgr[::-1, 0] / 255 for bgr in cv2.meanStdDev(image))
        return Inspection(
            name=self.name(index),
            size=target.shape,
            orientation=read_orientation(self._frames[index].image),
            pixels=np.bincount(target.ravel(), minlength=256),
            moments=np.stack([mean, deviation**2 + mean**2]),
        )


def _told_apart(frames: list[tuple[str, Frame]]) -> list[Frame]:
    """Frames of several parts of a data set; where two have one name, each gets its part's before it."""
    if len({frame.name for _, frame in frames}) == len(frames):
        return [frame for _, frame in frames]
    return [replace(frame, name=f"{part}/{frame.name}") for part, frame in frames]


def _explain_orientation(image: Path) -> str:
    """What to do about an image that viewers show turned, as its label file may be."""
    orientation = read_orientation(image)
    if orientation == 1:
        return ""
    return (
        f" is stored; viewers turn it by its EXIF orientation tag ({orientation}), which is ignored here: save the "
        "image turned and without the tag"
    )
