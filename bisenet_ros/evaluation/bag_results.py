# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What came of all bags of a run, joined in the folder of its report."""

import shutil
from pathlib import Path
from typing import List, Sequence, Tuple

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.bag_task import MASKS, BagTask
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.run_summary import Source


class NoFrameError(BagError):
    """Bags that have no frame that can be segmented."""


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
