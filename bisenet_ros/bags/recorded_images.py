"""What a bag can be made of: folders of images, videos and data sets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np

from bisenet_ros.bags.bag_reader import natural_order

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class RecordedImage:
    """An image on its way into a bag.

    Attributes:
        name: for messages.
        pixels: H x W x 3 uint8 BGR.
        truth: H x W uint8 ids, 255 where there is no label; None without labels.
        file: the file that holds these pixels, if one does.
        seconds: since the first image; None where the source does not know.
    """

    name: str
    pixels: np.ndarray
    truth: Optional[np.ndarray] = None
    file: Optional[Path] = None
    seconds: Optional[float] = None


@dataclass(frozen=True)
class ImageSource:
    """Images in order.

    Attributes:
        images: makes them anew, one at a time.
        count: how many there are; a video's is an estimate.
        places: the files and folders that they are read from.
        rate: images a second, where the source knows it.
        has_truth: whether some of the images have truth.
    """

    images: Callable[[], Iterator[RecordedImage]]
    count: int
    places: Tuple[Path, ...]
    rate: Optional[float] = None
    has_truth: bool = False


def open_source(text: str, *, labels: Optional[Path] = None) -> ImageSource:
    """The folder of images, the video, or the data set (NAME:ROOT[:SPLIT]) that a text names.

    Args:
        labels: a folder of PNGs of ids, named as the images of a folder.

    Raises:
        ValueError: there is none, or labels fit no image. OSError: it cannot be read.
    """
    path = Path(text)
    if path.is_dir():
        return _open_folder(path, labels)
    if labels:
        raise ValueError(f"--labels goes with a folder of images, got {text}")
    if path.is_file():
        return _open_video(path)
    if ":" in text:
        return _open_dataset(text)
    raise FileNotFoundError(f"expected a folder of images, a video or a data set as NAME:ROOT[:SPLIT], got {text}")


def read_labels(path: Path) -> np.ndarray:
    """H x W uint8 ids.

    Raises:
        ValueError: the file is no image of one channel of 8 bits.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 2 or pixels.dtype != np.uint8:
        found = "no whole image" if pixels is None else f"{pixels.dtype} of shape {pixels.shape}"
        raise ValueError(f"expected labels of one channel of 8 bits in {path}, got {found}")
    return pixels


def _open_folder(folder: Path, labels: Optional[Path]) -> ImageSource:
    files = natural_order(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise ValueError(f"expected images ({', '.join(IMAGE_SUFFIXES)}) in {folder}, found none")
    truths = _labels_of(files, labels) if labels else {}

    def images() -> Iterator[RecordedImage]:
        for file in files:
            truth = truths.get(file.stem)
            yield RecordedImage(file.name, _read_image(file), read_labels(truth) if truth else None, file)

    return ImageSource(images, len(files), (folder, *([labels] if labels else [])), has_truth=bool(truths))


def _labels_of(files: List[Path], folder: Path) -> Dict[str, Path]:
    """The label file of each image's stem; not every image needs one."""
    if not folder.is_dir():
        raise FileNotFoundError(f"expected a folder of labels at {folder}, there is none")
    stems = [file.stem for file in files]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None) if len(set(stems)) < len(stems) else None
    if twice is not None:
        raise ValueError(f"two images are called {twice!r}, so that their labels cannot be told apart")
    found = {path.stem: path for path in folder.glob("*.png")}
    others = sorted(found.keys() - set(stems))
    if others or not found:
        what = f"{others[0]}.png, and {len(others) - 1} others, fit none" if others else "it holds no PNG"
        raise ValueError(f"expected labels in {folder} that are called as the images; {what}")
    return found


def _read_image(file: Path) -> np.ndarray:
    # As it is stored: labels know nothing of a camera's orientation tag.
    pixels = cv2.imread(str(file), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(f"{file} is no whole image")
    return pixels


def _open_video(path: Path) -> ImageSource:
    video = cv2.VideoCapture(str(path))
    opened, count, rate = video.isOpened(), int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
    video.release()
    if not opened:
        raise ValueError(f"expected a video that OpenCV can read, such as {', '.join(VIDEO_SUFFIXES)}, got {path}")

    def images() -> Iterator[RecordedImage]:
        video = cv2.VideoCapture(str(path))
        number, last = 0, -1.0
        try:
            while True:
                read, pixels = video.read()
                if not read:
                    return
                seconds = video.get(cv2.CAP_PROP_POS_MSEC) / 1000
                yield RecordedImage(f"{path.name}, frame {number}", pixels, seconds=seconds if seconds > last else None)
                number, last = number + 1, seconds
        finally:
            video.release()

    return ImageSource(images, max(count, 0), (path,), rate=rate or None)


def _open_dataset(text: str) -> ImageSource:
    name, _, place = text.partition(":")
    root, _, split = place.partition(":")
    if not root or not Path(root).is_dir():
        raise FileNotFoundError(
            f"expected the folder of a data set as NAME:ROOT[:SPLIT], got {text}: there is no folder {root!r}"
        )
    try:
        from bisenet_training.data.datasets import default_splits, open_dataset
    except ModuleNotFoundError as error:
        raise ValueError(
            f"data sets need the Python package {error.name!r}; install it with `pip install '.[training]'`"
        ) from error
    dataset = open_dataset(name, root=Path(root), split=split or default_splits(name)[1])

    def images() -> Iterator[RecordedImage]:
        for index in range(len(dataset)):
            pixels, truth = dataset[index]
            yield RecordedImage(dataset.name(index), pixels, truth)

    return ImageSource(images, len(dataset), (Path(root),), has_truth=True)
