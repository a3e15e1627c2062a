# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How a run over bags ended: exit code, scores in a line, and what was wrong."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

from bisenet_ros.errors import IMPERFECT
from bisenet_ros.evaluation.ground_truth import describe_unused
from bisenet_ros.evaluation.report.numbers import percent
from bisenet_ros.evaluation.run_summary import NodeReplay, RunSummary


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code 0 or IMPERFECT, and scores in a line, which are "" where it was finished before."""

    exit_code: int
    scores: str = ""
    warnings: Tuple[str, ...] = ()
    replays: Tuple[NodeReplay, ...] = ()


def make_outcome(run: RunSummary, findings: Dict[str, Any], unused: Sequence[Path]) -> Outcome:
    """How a run ended.

    Args:
        findings: the scores of the report, as its JSON has them.
        unused: files of the ground truth that have the stamp of no frame.
    """
    warnings = [f"{source.bag}, {source.topic}: {notice}" for source in run.sources for notice in source.notices]
    frames, scored = findings["frames"], findings["truth_frames"]
    is_unlabeled = scored and findings["miou"] is None
    warnings += ["no pixel of the ground truth has a class: nothing was scored"] if is_unlabeled else []
    warnings += describe_unused(unused)
    differing, notices = [replay for replay in run.through_node if replay.differing_pixels], findings["notices"]
    warnings += [f"{it.bag}, {it.topic}: the node's masks differ in {it.differing_pixels} pixels" for it in differing]
    faulty = differing or unused or is_unlabeled or notices or any(source.faulty for source in run.sources)
    part = f" of the {scored} with ground truth" if scored < frames else ""
    scores = f", mIoU {percent(findings['miou'])} %{part}" if scored else ""
    return Outcome(
        exit_code=IMPERFECT if faulty else 0,
        scores=f"{frames} frames{scores}",
        warnings=(*warnings, *notices),
        replays=run.through_node,
    )
