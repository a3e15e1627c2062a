# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is segmented: image files, folders of images, videos, and cameras of this machine."""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterator, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

from bisenet_ros.bags.bag_files import is_bag_alone
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.files.file_names import natural_order
from bisenet_ros.images.image_file import IMAGE_SUFFIXES, list_images, read_image, silence_opencv
from bisenet_ros.sources.image_source import open_source

CAMERA = re.compile(r"camera:(\d{1,3})")
"""A camera as an input, such as camera:0, which is /dev/video0 on Linux."""
DEVICE = re.compile(r"/dev/video(\d{1,3})")
VIDEO_FRAME = re.compile(r"(.+)_\d{6,}")
"""The name of a video's frame: the video's name and the frame's number."""


class InputFrame(NamedTuple):
    """A frame that is yet to be read: `read` returns H x W x 3 uint8 BGR, or raises ImageError.

    Attributes:
        name: its own among all frames; its files are called so.
    """

    name: str
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Input:
    """An image file, a video or a camera.

    Attributes:
        name: of an image also its frame's; a video's or a camera's begins the names of its frames.
        path: of the file; None for a camera.
        frames: makes the frames again, in order.
        count: how many there are; a video's is an estimate, which may be one off; None for a camera, which has no end.
        rate: a video's frames a second; None where it is no video, 0 where it does not say.
    """

    name: str
    path: Optional[Path]
    frames: Callable[[], Iterator[InputFrame]]
    count: Optional[int] = 1
    rate: Optional[float] = None

    @property
    def is_video(self) -> bool:
        return self.rate is not None

    @property
    def identity(self) -> List[Any]:
        """What tells, in a later run, whether a name stands for the same input; for JSON."""
        if self.path is None:
            return [self.name]
        place = self.path.parent.resolve() / self.path.name  # not where a link leads, which may lack the suffix
        try:
            status = self.path.stat()
        except OSError:  # such as a link to nowhere, of which reading tells more
            return [str(place), 0, 0]
        return [str(place), status.st_size, status.st_mtime_ns]


def find_inputs(texts: Sequence[str]) -> List[Input]:
    """The inputs that texts name: files, folders, or camera:NUMBER; those of a folder in natural order.

    Raises:
        BisenetError: a folder without images, a video that cannot be opened, or two inputs of one name.
        OSError: there is no such file.
    """
    inputs = list(chain.from_iterable(map(_find, texts)))
    named: Dict[str, Input] = {}
    for found in inputs:
        other = named.setdefault(found.name, found)
        if other is not found:
            raise BisenetError(
                f"two inputs are called {found.name!r}, {_text(other)} and {_text(found)}, so that their masks would "
                "have one name; segment them into two folders"
            )
    videos = [found.name for found in inputs if found.is_video]
    for found in inputs:
        video = video_of(found.name, videos)
        if video:
            raise BisenetError(
                f"{_text(found)} is called as a frame of {_text(named[video])}; segment them into two folders"
            )
    return inputs


def video_of(name: str, videos: Collection[str]) -> str:
    """The one of some videos that has a frame of this name; "" for none."""
    match = VIDEO_FRAME.fullmatch(name)
    return match[1] if match and match[1] in videos else ""


def _text(source: Input) -> str:
    return str(source.path or source.name)


def _find(text: str) -> Iterator[Input]:
    camera, path = CAMERA.fullmatch(text), Path(text)
    if camera:
        yield _camera(int(camera[1]))
    elif not path.exists():
        raise FileNotFoundError(
            f"expected an image, a folder of images, a video or camera:NUMBER, got {text!r}: there is no such file"
        )
    elif not path.is_dir() and not path.is_file():
        device = DEVICE.fullmatch(text)
        advice = f"; write camera:{device[1]}" if device else ""
        raise BisenetError(f"expected a file or a folder, got {text!r}, a device or a pipe{advice}")
    elif is_bag_alone(path):
        raise BisenetError(f"expected images, got the bag {text}; `bisenet evaluate-bag` segments bags")
    elif path.is_dir():
        yield from map(_image, natural_order(list_images(path)))
    else:
        yield _image(path) if path.suffix.lower() in IMAGE_SUFFIXES else _video(path)


def _image(path: Path) -> Input:
    return Input(path.stem, path, lambda: iter([InputFrame(path.stem, partial(_read_image, path))]))


def _read_image(path: Path) -> np.ndarray:
    """As `read_image`, with an ImageError also where the file cannot be opened."""
    try:
        return read_image(path)
    except OSError as error:
        raise ImageError("data", f"{path} cannot be read: {error.strerror}") from None


def _video(path: Path) -> Input:
    source = open_source(str(path))

    def frames() -> Iterator[InputFrame]:
        for number, image in enumerate(source.images()):
            yield _decoded(f"{path.stem}_{number:06}", image.pixels)

    return Input(path.stem, path, frames, count=source.count, rate=source.rate or 0)


def _decoded(name: str, pixels: np.ndarray) -> InputFrame:
    return InputFrame(name, lambda: pixels)


def _camera(number: int) -> Input:
    name = f"camera{number}"
    silence_opencv()
    camera = cv2.VideoCapture(number)
    if not camera.isOpened():
        raise BisenetError(
            f"expected a camera that OpenCV can open as number {number}, there is none; on Linux it is "
            f"/dev/video{number}, which the user needs permission for"
        )
    camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, as far as the driver heeds it

    def frames() -> Iterator[InputFrame]:
        """The frames, named by the time at which they were taken, so that a later run adds to them."""
        try:
            while True:
                read, pixels = camera.read()
                if not read:
                    raise BisenetError(f"camera {number} gives no more frames; is it still connected?")
                taken = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S_%f")
                yield _decoded(f"{name}_{taken}", pixels)
        finally:
            camera.release()

    return Input(name, None, frames, count=None)
