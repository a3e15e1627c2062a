# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ground truth of a bag's frames, found by the stamp in their header."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

import numpy as np
from tqdm import tqdm

from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.evaluation.frame_record import RecordFile
from bisenet_ros.images.image_file import image_files
from bisenet_ros.images.label_file import read_label_file
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import Size, size_text

SUFFIX = ".png"
NAME = re.compile(r"(-?\d+)(?:_(\d+))?")
"""<stamp in ns>, or <stamp in ns>_<number> for those of several frames with one stamp."""
MOST_NAMES = 5
"""Files that a warning names."""


class GroundTruthError(BisenetError):
    """Ground truth that cannot be used; the message names the file, or the message of the bag."""


def list_ground_truth(folder: Path) -> Dict[int, Dict[int, Path]]:
    """The files of each stamp by the number of its frame, from 1: `<stamp in ns>.png`, `<stamp in ns>_2.png` and so on.

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
    return numbered


def ground_truth_files(folder: Path) -> List[Path]:
    """All files of `list_ground_truth`, which raises what it does."""
    return [file for files in list_ground_truth(folder).values() for file in files.values()]


def check_ground_truth(folder: Path, *, classes: int) -> None:
    """Raises GroundTruthError where a file cannot be read or holds ids that are no class; needs no frames."""
    for path in tqdm(ground_truth_files(folder), desc="checking ground truth", unit="file", leave=False, disable=None):
        read_ground_truth(path, classes=classes)


def read_ground_truth(path: Path, *, classes: int, size: Optional[Size] = None) -> np.ndarray:
    """H x W uint8 ids of a file, 255 where there is no label.

    Raises GroundTruthError where it cannot be read, has another size than (height, width), or holds ids of no class.
    """
    try:
        ground_truth = read_label_file(path)
    except ImageError as error:
        raise GroundTruthError(str(error)) from error
    check_pixels(ground_truth, classes=classes, size=size, what=f"the ground truth {path}")
    return ground_truth.astype(np.uint8)


def check_pixels(ground_truth: np.ndarray, *, classes: int, what: str, size: Optional[Size] = None) -> None:
    """Raises GroundTruthError where an id is no class and not 255, or the size is not the frame's (height, width)."""
    if size and ground_truth.shape != size:
        raise GroundTruthError(
            f"expected the frame's {size_text(size)} pixels in {what}, got {size_text(ground_truth.shape)}"
        )
    counts = np.bincount(ground_truth.ravel(), minlength=IGNORE + 1)
    counts[IGNORE] = 0
    outside = np.flatnonzero(counts[classes:]) + classes
    if outside.size:
        raise GroundTruthError(
            f"expected ids 0 to {classes - 1}, or {IGNORE} where there is no label, in {what}, "
            f"got {outside[0]} on {counts[outside[0]]} pixels"
        )


def find_unused(ground_truth: Dict[str, Path], records: RecordFile) -> List[Path]:
    """The files of ground truth that belong to no frame of any bag.

    Args:
        ground_truth: the folder of each bag that has one; several bags may share one.
    """
    used = {ground_truth[record.bag] / record.ground_truth for record in records if record.ground_truth}
    files = {file for folder in set(ground_truth.values()) for file in ground_truth_files(folder)}
    return sorted(files - used)


def describe_unused(unused: Sequence[Path]) -> List[str]:
    """In words, the files that `find_unused` has found; nothing where there is none."""
    if not unused:
        return []
    names = ", ".join(file.name for file in unused[:MOST_NAMES]) + (" and more" if unused[MOST_NAMES:] else "")
    return [f"{len(unused)} files of the ground truth belong to no frame that was segmented: {names}"]


def describe_shared(ground_truth: Dict[str, Path], records: RecordFile) -> List[str]:
    """In words, that files of ground truth were taken for frames of several bags; nothing where none was.

    Args:
        ground_truth: as for `find_unused`.
    """
    bags: Dict[Path, Set[str]] = defaultdict(set)
    for record in records:
        if record.ground_truth:
            bags[ground_truth[record.bag] / record.ground_truth].add(record.bag)
    shared = sorted(file.name for file, names in bags.items() if len(names) > 1)
    if not shared:
        return []
    return [
        f"{len(shared)} files of the ground truth have the stamp of frames of several bags, such as {shared[0]}: "
        "frames may have been scored by the ground truth of others; evaluate each bag alone"
    ]
