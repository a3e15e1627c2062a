# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a bag's frames, found by the stamp in their header."""

import re
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
from tqdm import tqdm

from bisenet_ros.bags.bag_images import decode_mask
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.files.result_folder import unfinished_folder
from bisenet_ros.images.image_file import image_files
from bisenet_ros.images.label_file import read_label_file
from bisenet_ros.model.class_groups import Grouping
from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.input_size import Size, size_text

SUFFIX = ".png"
NAME = re.compile(r"(-?\d+)(?:_(\d+))?")
"""<stamp in ns>, or <stamp in ns>_<number> for those of several frames with one stamp."""


class GroundTruthError(BisenetError):
    """Ground truth that cannot be used; the message names the file, or the message of the bag."""


def list_ground_truth(folder: Path) -> Dict[int, List[Path]]:
    """The files of each stamp in the order of its frames: `<stamp in ns>.png`, `<stamp in ns>_2.png` and so on.

    Files may be of any format of `read_label_file`. Raises GroundTruthError where there is none, an image of another
    name, or two for one frame; OSError.
    """
    paths = image_files(folder)
    if not paths:
        raise GroundTruthError(f"expected ground truth as <stamp in ns>{SUFFIX} in {folder}, found none")
    numbered: Dict[int, Dict[int, Path]] = {}
    for path in paths:
        match = NAME.fullmatch(path.stem)
        if not match:
            raise GroundTruthError(f"expected ground truth as <stamp in ns>{SUFFIX}, got {path.name} in {folder}")
        other = numbered.setdefault(int(match[1]), {}).setdefault(int(match[2] or 1), path)
        if other is not path:
            raise GroundTruthError(f"expected one file of ground truth for a frame, got {other.name} and {path.name}")
    return {stamp: [files[number] for number in sorted(files)] for stamp, files in numbered.items()}


def check_ground_truth(folder: Path, *, classes: int) -> None:
    """Raises GroundTruthError where a file cannot be read or holds ids that are no class; needs no frames."""
    files = [file for files in list_ground_truth(folder).values() for file in files]
    for path in tqdm(files, desc="checking ground truth", unit="file", leave=False, disable=None):
        read_ground_truth(path, classes=classes)


def read_ground_truth(path: Path, *, classes: int, size: Optional[Size] = None) -> np.ndarray:
    """H x W uint8 ids of a file, 255 where there is no label.

    Raises GroundTruthError where it cannot be read, has another size than (height, width), or holds ids of no class.
    """
    try:
        ground_truth = read_label_file(path)
    except ImageError as error:
        raise GroundTruthError(str(error)) from error
    if size and ground_truth.shape != size:
        raise GroundTruthError(
            f"expected ground truth of the frame's {size_text(size)} pixels in {path}, got "
            f"{size_text(ground_truth.shape)}"
        )
    check_ids(ground_truth, classes, what=str(path))
    return ground_truth.astype(np.uint8)


def check_ids(ground_truth: np.ndarray, classes: int, *, what: str) -> None:
    """Raises GroundTruthError where an id is no class and not 255."""
    counts = np.bincount(ground_truth.ravel(), minlength=IGNORE + 1)
    counts[IGNORE] = 0
    outside = np.flatnonzero(counts[classes:]) + classes
    if outside.size:
        raise GroundTruthError(
            f"expected ids 0 to {classes - 1}, or {IGNORE} where there is no label, in {what}, "
            f"got {outside[0]} on {counts[outside[0]]} pixels"
        )


def merge_ground_truth(source: Path, folder: Path, *, classes: int, grouping: Grouping) -> None:
    """Writes such a folder anew, with the ids of groups in place of classes; raises as `check_ground_truth` does."""
    files = [file for files in list_ground_truth(source).values() for file in files]
    with unfinished_folder(folder) as unfinished:
        unfinished.mkdir()
        for path in tqdm(files, desc="merging classes of ground truth", unit="file", leave=False, disable=None):
            ground_truth = read_ground_truth(path, classes=classes)
            write_png(unfinished / f"{path.stem}{SUFFIX}", grouping.ids[ground_truth])
        unfinished.rename(folder)


def export_ground_truth(
    bag: Bag, topic: str, folder: Path, *, classes: ClassMap, grouping: Optional[Grouping] = None
) -> None:
    """Writes the masks of a topic as such a folder, so that each is found whenever its frame comes.

    With a grouping, the ids are those of its groups.

    Raises GroundTruthError where the topic is missing or empty, the bag names other classes, or a message is no mask of
    the classes.
    """
    if topic not in bag.topics:
        raise GroundTruthError(f"{bag.path} has no topic {topic} of ground truth; it holds {', '.join(bag.topics)}")
    if bag.label_classes not in ([], classes.names):
        raise GroundTruthError(
            f"expected ground truth of the model's classes ({', '.join(classes.names)}), got that of {bag.path} "
            f"({', '.join(bag.label_classes)}); choose a model of these classes"
        )
    with unfinished_folder(folder) as unfinished:
        unfinished.mkdir()
        _write_masks(bag, topic, unfinished, classes=len(classes), grouping=grouping)
        if not any(unfinished.iterdir()):
            raise GroundTruthError(f"{bag.path} has no message on {topic}, which was named as the ground truth")
        unfinished.rename(folder)


def _write_masks(bag: Bag, topic: str, folder: Path, *, classes: int, grouping: Optional[Grouping]) -> None:
    seen: Counter = Counter()
    for message in bag.messages([topic]):
        what = f"message {message.number} of {topic} in {bag.path}"
        try:
            stamp_ns, ground_truth = decode_mask(message)
        except ImageError as error:
            raise GroundTruthError(f"{what} is no ground truth: {error}") from error
        ground_truth = np.ascontiguousarray(ground_truth)
        check_ids(ground_truth, classes, what=what)
        if grouping is not None:
            ground_truth = grouping.ids[ground_truth]
        seen[stamp_ns] += 1
        number = f"_{seen[stamp_ns]}" if seen[stamp_ns] > 1 else ""
        write_png(folder / f"{stamp_ns}{number}{SUFFIX}", ground_truth)
