"""Ground truth of a bag's frames, found by the stamp in their header."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict, Optional, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from bisenet_ros.bags.bag_reader import Bag, decode_labels
from bisenet_ros.errors import ImageError
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.images.label_file import read_label_file
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import size_text

SUFFIX = ".png"


class TruthError(ValueError):
    """Truth that cannot be used; the message names the file or the message, what was expected and what came."""


class TruthFolder:
    """A folder of `<stamp in ns>.png`: one channel of 8 bits, ids of the classes, 255 where there is no label.

    Attributes:
        files: each stamp's file.
    """

    def __init__(self, folder: Path, *, classes: int) -> None:
        """Raises TruthError where there is no such file, or a PNG of another name; OSError."""
        paths = sorted(folder.glob(f"*{SUFFIX}"))
        if not paths:
            raise TruthError(f"expected truth as <stamp in ns>{SUFFIX} in {folder}, found none")
        others = [path.name for path in paths if not path.stem.isdecimal()]
        if others:
            raise TruthError(f"expected truth as <stamp in ns>{SUFFIX}, got {others[0]} in {folder}")
        self.files: Dict[int, Path] = {int(path.stem): path for path in paths}
        self._classes = classes

    def check(self) -> None:
        """Raises TruthError where a file cannot be read or holds ids that are no class; needs no frames."""
        for path in tqdm(self.files.values(), desc="checking truth", unit="file", leave=False, disable=None):
            self._read_file(path)

    def read(self, stamp_ns: int, size: Tuple[int, int]) -> Optional[np.ndarray]:
        """H x W uint8 ids of the frame with this stamp and (height, width); None without truth.

        Raises:
            TruthError: the file cannot be read, has another size, or holds ids that are no class.
        """
        path = self.files.get(stamp_ns)
        if path is None:
            return None
        truth = self._read_file(path)
        if truth.shape != size:
            raise TruthError(
                f"expected truth of the frame's {size_text(size)} pixels in {path}, got {size_text(truth.shape)}"
            )
        return truth

    def _read_file(self, path: Path) -> np.ndarray:
        try:
            truth = read_label_file(path)
        except ImageError as error:
            raise TruthError(str(error)) from None
        if truth.dtype != np.uint8:
            raise TruthError(f"expected ids up to 255 in {path}, got {truth.max()}")
        check_ids(truth, self._classes, what=str(path))
        return truth


def check_ids(truth: np.ndarray, classes: int, *, what: str) -> None:
    """Raises TruthError where an id is no class and not 255."""
    counts = cv2.calcHist([truth], [0], None, [256], [0, 256]).ravel()[:IGNORE]
    outside = np.flatnonzero(counts[classes:]) + classes
    if outside.size:
        raise TruthError(
            f"expected ids 0 to {classes - 1}, or {IGNORE} where there is no label, in {what}, "
            f"got {outside[0]} on {counts[outside[0]]:.0f} pixels"
        )


def export_truth(bag: Bag, topic: str, folder: Path, *, classes: int) -> None:
    """Writes the masks of a topic as a `TruthFolder`, so that each is found whenever its frame comes.

    Raises:
        TruthError: the topic is missing or empty, or a message is no mask of the classes.
    """
    if topic not in bag.topics:
        raise TruthError(f"{bag.path} has no topic {topic} for the truth; it holds {', '.join(bag.topics)}")
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for message in bag.messages([topic]):
        what = f"message {message.number} of {topic} in {bag.path}"
        try:
            stamp_ns, truth = decode_labels(message)
        except ImageError as error:
            raise TruthError(f"{what} is no truth: {error}") from error
        truth = np.ascontiguousarray(truth)
        check_ids(truth, classes, what=what)
        write_png(unfinished / f"{stamp_ns}{SUFFIX}", truth)
    if not any(unfinished.iterdir()):
        raise TruthError(f"{bag.path} has no message on {topic}, which was named as the truth")
    unfinished.rename(folder)
