# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images in order: of a folder, a video or a data set."""

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.file_content import describe_bytes, first_bytes
from bisenet_ros.files.file_names import check_path, natural_order
from bisenet_ros.images.image_file import list_images, read_image
from bisenet_ros.images.label_file import read_label_file
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.sources.data_sets import open_data_set, parse_data_set

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")
TEXT = cv2.VideoWriter.fourcc(*"ansi")
"""The codec with which FFmpeg makes pictures of a text, of a .txt for example."""
SLOWEST, FASTEST = 0.01, 1000.0
"""Rates of a video that can be meant, in Hz; some recorders write that of their clock, as 90,000."""


@dataclass(frozen=True)
class SourceImage:
    """An image: H x W x 3 uint8 BGR, and its ground truth, H x W uint8 ids (255: no label), where it has one.

    `file` holds these pixels, if one does; `seconds` since the first image are None where the source does not know.
    """

    name: str
    pixels: np.ndarray
    ground_truth: Optional[np.ndarray] = None
    file: Optional[Path] = None
    seconds: Optional[float] = None


@dataclass(frozen=True)
class ImageSource:
    """Images in order, made again by `images`, one at a time; `images(every=N)` is every N-th, the others not decoded.

    Attributes:
        count: how many there are; 0 where that is not known.
        count_is_estimate: the count may be one off, as some containers of videos do not count exactly.
        places: the files and folders that they are read from.
        rate: images a second, where the source knows it.
        labeled: how many of the images have ground truth.
        classes: of the ground truth, where the source knows them.
    """

    images: Callable[..., Iterator[SourceImage]]
    count: int
    places: Tuple[Path, ...]
    count_is_estimate: bool = False
    rate: Optional[float] = None
    labeled: int = 0
    classes: Optional[ClassMap] = None

    @property
    def has_ground_truth(self) -> bool:
        return self.labeled > 0


def open_source(text: str, *, labels: Optional[Path] = None, class_map: Optional[str] = None) -> ImageSource:
    """The folder of images, the video, or the data set (NAME:ROOT[:SPLIT]) that a text names.

    Args:
        labels: a folder of PNGs of ids, named as the images of a folder.
        class_map: merges the classes of a data set; see `open_data_set`.

    Raises BisenetError where there is none, or labels fit no image; OSError.
    """
    path = Path(text)
    if path.is_dir():
        return _open_folder(path, labels)
    if labels:
        raise BisenetError(f"--labels goes with a folder of images, got {text}")
    if path.is_file():
        return _open_video(path)
    if ":" not in text:
        raise FileNotFoundError(
            f"expected a folder of images, a video or a data set as NAME:ROOT[:SPLIT], got {text}: there is no file"
        )
    name, root, split = parse_data_set(text)
    if not root or not Path(root).is_dir():
        raise FileNotFoundError(
            f"expected the folder of a data set as NAME:ROOT[:SPLIT], got {text}: there is no folder {root!r}"
        )
    return _from_data_set(open_data_set(name, Path(root), split, class_map=class_map), Path(root))


def _open_folder(folder: Path, labels: Optional[Path]) -> ImageSource:
    files = natural_order(list_images(folder))
    label_files = _find_labels(files, labels) if labels else {}

    def images(every: int = 1) -> Iterator[SourceImage]:
        for file in files[::every]:
            label_file = label_files.get(file.stem)
            yield SourceImage(file.name, read_image(file), _read_labels(label_file) if label_file else None, file)

    places = (folder, *([labels] if labels else []))
    return ImageSource(images, len(files), places, labeled=len(label_files))


def _find_labels(files: List[Path], folder: Path) -> Dict[str, Path]:
    """The label file of each image's stem; not every image needs one."""
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of labels at {folder}, there is none")
    stems = Counter(file.stem for file in files)
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        raise BisenetError(f"two images are called {twice[0]!r}, so that their labels cannot be told apart")
    paths = list_images(folder)
    found = {path.stem: path for path in paths}
    others = [path.name for path in paths if path.stem not in stems or path is not found[path.stem]]
    if others:
        raise BisenetError(
            f"expected labels in {folder} that are called as the images, one for each; {len(others)} of the files, "
            f"such as {others[0]}, fit none"
        )
    return found


def _read_labels(path: Path) -> np.ndarray:
    ids = read_label_file(path)
    if ids.dtype != np.uint8:
        raise BisenetError(f"expected labels of at most 8 bits in {path}, got {ids.dtype}; a mask has ids below 256")
    return ids


def _open_video(path: Path) -> ImageSource:
    check_path(path)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its lines do not name the file; ours do
    file = str(path.absolute())  # FFmpeg takes what is before a colon in a relative path as a protocol
    video = cv2.VideoCapture(file)
    opened = video.isOpened() and int(video.get(cv2.CAP_PROP_FOURCC)) != TEXT
    count, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
    video.release()
    if not opened:
        raise BisenetError(
            f"expected a video that OpenCV can read, such as {', '.join(VIDEO_SUFFIXES)}, got {path}, "
            f"{describe_bytes(first_bytes(path))}; where it is a video, it is cut off or of a codec that OpenCV lacks"
        )

    rated = SLOWEST <= rate <= FASTEST

    def images(every: int = 1) -> Iterator[SourceImage]:
        video, clock = cv2.VideoCapture(file), _VideoClock(step=1 / rate if rated else 0.0)
        number = 0
        try:
            while video.grab():
                seconds = clock.seconds_at(video.get(cv2.CAP_PROP_POS_MSEC) / 1000)
                if number % every == 0:
                    read, pixels = video.retrieve()
                    if not read:
                        return
                    yield SourceImage(f"{path.name}, frame {number}", pixels, seconds=seconds)
                number += 1
        finally:
            video.release()

    return ImageSource(images, max(count, 0), (path,), rate=rate if rated else None, count_is_estimate=True)


class _VideoClock:
    """The times of a video's frames, which only rise.

    Where the container's clock begins again, as in files that were joined, the times go on where they were.

    Args:
        step: seconds from one frame to the next.
    """

    def __init__(self, *, step: float) -> None:
        self._step, self._last, self._start, self._frames_since = step, -1.0, 0.0, 0

    def seconds_at(self, seconds: float) -> Optional[float]:
        """The time of the next frame, by its time in the container; None where that does not tell it."""
        self._frames_since += 1
        if self._start + seconds <= self._last and self._frames_since > 1:  # of two frames: the clock began again
            self._start = self._last + self._frames_since * self._step - seconds
        if self._start + seconds <= self._last:  # of one: it has no time of its own
            return None
        self._last, self._frames_since = self._start + seconds, 0
        return self._last


def _from_data_set(data_set: Any, root: Path) -> ImageSource:
    files = data_set.image_files

    def images(every: int = 1) -> Iterator[SourceImage]:
        for index in range(0, len(data_set), every):
            pixels, ground_truth = data_set[index]
            yield SourceImage(data_set.name(index), pixels, ground_truth, file=files[index])

    return ImageSource(images, len(data_set), (root,), labeled=len(data_set), classes=data_set.classes)
