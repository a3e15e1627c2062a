"""What came of a bag, and of all bags of a run together."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from bisenet_ros.bags.bag_images import IMAGE
from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError, GroundTruthFolder
from bisenet_ros.evaluation.run_summary import Source

MASKS = "masks"
RESULT = "bag.json"


@dataclass(frozen=True)
class BagTask:
    """What is to be made of one bag.

    Attributes:
        bag: its short name.
        topics: the namespace of the masks of each image topic.
        folder: of the results: the bag MASKS, and the files RECORDS and RESULT.
        masks: where the bag of masks lies in the end, relative to the report.
        outputs, storage: topics of the masks, and their format.
        ground_truth: a folder for `GroundTruthFolder`.
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

    def mask_topics(self) -> Dict[str, str]:
        """The type of each topic of the masks."""
        return {f"{namespace}/{output}": IMAGE for namespace in self.topics.values() for output in self.outputs}


@dataclass(frozen=True)
class BagResult:
    """What came of a bag; `used` names the files of ground truth that belong to a frame."""

    sources: List[Source]
    used: List[str]

    @staticmethod
    def read(folder: Path) -> BagResult:
        values = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return BagResult([Source(**source) for source in values["sources"]], values["used"])


@dataclass(frozen=True)
class RunResults:
    """What came of all bags.

    Attributes:
        ground_truth: of each bag that has any, by its short name.
        unused: names of the files of ground truth that belong to no frame.
    """

    records: RecordFile
    sources: List[Source]
    ground_truth: Dict[str, GroundTruthFolder]
    unused: List[str]


def join_results(tasks: Sequence[BagTask], folder: Path, *, classes: int) -> RunResults:
    """Moves and joins what the tasks made; harmless when it is done again after an interruption.

    Args:
        folder: of the report.

    Raises:
        BagError: there is not one frame. GroundTruthError: there is not one frame with ground truth.
    """
    results = [BagResult.read(task.folder) for task in tasks]
    sources = [source for result in results for source in result.sources]
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
        raise BagError(f"not one frame could be read: {reasons}")
    truths = {task.bag: GroundTruthFolder(task.ground_truth, classes=classes) for task in tasks if task.ground_truth}
    used = {task.ground_truth / name for task, it in zip(tasks, results) if task.ground_truth for name in it.used}
    files = {file for truth in truths.values() for found in truth.files.values() for file in found}
    unused = [file.name for file in sorted(files - used)]  # several bags may share a folder
    if truths and not used:
        raise GroundTruthError(
            f"none of the {len(unused)} stamps of the ground truth, such as {Path(unused[0]).stem}, is that of a "
            f"frame, such as {next(iter(records)).stamp_ns}"
        )
    return RunResults(records, sources, truths, unused)
