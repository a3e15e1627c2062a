"""Puts the results of all bags together: one file of records, a bag of masks for each bag, and what they tell."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.bag_segmentation import MASKS, BagResult, BagTask
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError, GroundTruthFolder
from bisenet_ros.evaluation.run_summary import Source


@dataclass(frozen=True)
class RunResults:
    """The results of all bags.

    Attributes:
        ground_truth: of each bag that has any, by its short name.
        unused: names of the files of ground truth that belong to no frame.
        frames, scored: frames, and those with ground truth.
        jobs: how many bags were segmented side by side, in words.
    """

    records: RecordFile
    sources: List[Source]
    ground_truth: Dict[str, GroundTruthFolder]
    unused: List[str]
    frames: int
    scored: int
    jobs: str


def join_results(tasks: Sequence[BagTask], folder: Path, *, classes: int) -> RunResults:
    """Moves and joins what the tasks made; harmless when it is done again after an interruption.

    Args:
        folder: of the report.

    Raises:
        BagError: there is not one frame. GroundTruthError: there is not one frame with ground truth.
    """
    results = [BagResult.read(task.folder) for task in tasks]
    records = RecordFile(folder / RECORDS)
    with records.path.open("wb") as whole:
        for task in tasks:
            with (task.folder / RECORDS).open("rb") as part:
                shutil.copyfileobj(part, whole)
            if (task.folder / MASKS).exists():
                (folder / task.masks).parent.mkdir(parents=True, exist_ok=True)
                (task.folder / MASKS).rename(folder / task.masks)
    sources = [source for result in results for source in result.sources]
    frames, scored = sum(result.frames for result in results), sum(result.scored for result in results)
    if not frames:
        reasons = "; ".join(notice for source in sources for notice in source.notices)
        raise BagError(f"not one frame could be read: {reasons}")
    ground_truth = {
        task.bag: GroundTruthFolder(task.ground_truth, classes=classes) for task in tasks if task.ground_truth
    }
    unused = _unused(tasks, results, ground_truth)
    if ground_truth and not scored:
        raise GroundTruthError(
            f"none of the {len(unused)} stamps of the ground truth, such as {Path(unused[0]).stem}, is that of a "
            f"frame, such as {next(iter(records)).stamp_ns}"
        )
    jobs = " and ".join(sorted({result.jobs for result in results}))
    return RunResults(records, sources, ground_truth, unused, frames, scored, jobs)


def _unused(
    tasks: Sequence[BagTask], results: Sequence[BagResult], ground_truth: Dict[str, GroundTruthFolder]
) -> List[str]:
    """By file, since several bags may share a folder of ground truth."""
    files = {file for folder in ground_truth.values() for found in folder.files.values() for file in found}
    used = {
        task.ground_truth / name for task, result in zip(tasks, results) if task.ground_truth for name in result.used
    }
    return [file.name for file in sorted(files - used)]
