# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is to be made of a bag, and what came of all bags of a run together."""

import json
import re
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError, list_ground_truth
from bisenet_ros.evaluation.run_summary import Source

MASKS = "masks"
SOURCES = "bag.json"
MOST_NAMES = 5
"""Files that a warning names."""


class NoFrameError(BagError):
    """Bags that have no frame that can be segmented."""


@dataclass(frozen=True)
class BagTask:
    """What is to be made of one bag.

    Attributes:
        topics: the namespace of the masks of each image topic.
        folder: of the results: the bag MASKS, and the files RECORDS and SOURCES.
        masks: where the bag of masks lies in the end, relative to the report.
        ground_truth: a folder for `list_ground_truth`.
        jobs: how many bags are segmented side by side, in words.
    """

    bag: str
    path: Path
    topics: Dict[str, str]
    folder: Path
    masks: str
    outputs: Tuple[str, ...]
    storage: str
    ground_truth: Optional[Path] = None
    jobs: str = "1"

    def read_sources(self) -> List[Source]:
        """What became of each topic, when the bag is done."""
        return [Source(**source) for source in json.loads((self.folder / SOURCES).read_text(encoding="utf-8"))]


def mask_namespaces(topics: Sequence[str]) -> Dict[str, str]:
    """Where the masks of each image topic go: /segmentation, or /segmentation/CAMERA for several."""
    if len(topics) == 1:
        return {topics[0]: "/segmentation"}
    # The "front" of /front/image_raw and of /front/image_raw/compressed.
    cameras = {topic: re.sub(r"(/image[^/]*)?(/compressed)?$", "", topic.strip("/")) for topic in topics}
    if len(set(cameras.values())) < len(topics):
        cameras = {topic: topic.strip("/") for topic in topics}
    return {topic: f"/segmentation/{camera}" for topic, camera in cameras.items()}


def join_results(tasks: Sequence[BagTask], folder: Path) -> Tuple[List[Source], RecordFile]:
    """Moves what the tasks made into the report's folder; harmless when done again after an interruption.

    Raises NoFrameError where there is not one frame.
    """
    sources = [source for task in tasks for source in task.read_sources()]
    records = RecordFile(folder / RECORDS)
    with records.path.open("wb") as whole:
        for task in tasks:
            with (task.folder / RECORDS).open("rb") as part:
                shutil.copyfileobj(part, whole)
            if (task.folder / MASKS).exists():
                (folder / task.masks).parent.mkdir(parents=True, exist_ok=True)
                (task.folder / MASKS).rename(folder / task.masks)
    if not any(source.frames for source in sources):
        reasons = "; ".join(notice for source in sources for notice in source.notices)
        raise NoFrameError(f"not one frame could be read: {reasons}")
    return sources, records


def find_unused(ground_truth: Dict[str, Path], records: RecordFile) -> List[Path]:
    """The files of ground truth that belong to no frame of any bag.

    Raises GroundTruthError where that is all of them.

    Args:
        ground_truth: the folder of each bag that has one; several bags may share one.
    """
    used = {ground_truth[record.bag] / record.ground_truth for record in records if record.ground_truth}
    folders = set(ground_truth.values())
    files = {file for folder in folders for files in list_ground_truth(folder).values() for file in files}
    unused = sorted(files - used)
    if unused and not used:
        raise GroundTruthError(
            f"none of the {len(unused)} stamps of the ground truth, such as {unused[0].stem}, is that of a frame, such "
            f"as {next(iter(records)).stamp_ns}"
        )
    return unused


def describe_unused(unused: Sequence[Path]) -> List[str]:
    """In words, the files that `find_unused` has found; nothing where there is none."""
    if not unused:
        return []
    names = ", ".join(file.name for file in unused[:MOST_NAMES]) + (" and more" if unused[MOST_NAMES:] else "")
    return [f"{len(unused)} files of the ground truth have the stamp of no frame: {names}"]


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
