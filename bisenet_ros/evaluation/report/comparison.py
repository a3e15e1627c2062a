# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compares two reports of `bisenet evaluate-bag` on the same bag: two models, or two precisions of one."""

import math
import textwrap
from array import array
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.finished_report import FinishedReport
from bisenet_ros.evaluation.report.numbers import json_number
from bisenet_ros.evaluation.report.page import largest_cells
from bisenet_ros.evaluation.report.record_summary import (
    TopicSummary,
    engine_percentiles,
    find_records,
    lowest_frames,
    mean_confidence,
    summarize,
    total_consistency,
)
from bisenet_ros.evaluation.run_summary import TopicKey

SMALLEST_VERDICT = 0.1
"""Percentage points; a smaller difference is called neither better nor worse."""
PERCENTILES = ("p50", "p90", "p99")
"""Percentiles of the engine's times that are compared."""
Topics = Dict[TopicKey, TopicSummary]


class Row(NamedTuple):
    """A number of both reports: a fraction, shown in %, or "ms"; of a `judged` fraction higher is called better."""

    name: str
    a: Optional[float]
    b: Optional[float]
    unit: str = "%"
    judged: bool = True

    @property
    def difference(self) -> Optional[float]:
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def ratio(self) -> Optional[float]:
        """B's time by A's; None for what is no time."""
        return self.b / self.a if self.unit == "ms" and self.a and self.b else None

    @property
    def note(self) -> str:
        """Whether B is better or worse; of times the ratio, since they differ a little every time."""
        if self.unit == "ms":
            return f"{self.ratio:.2f} times" if self.ratio else ""
        gain = self._shown(self.difference or 0.0)
        return "" if not self.judged or abs(gain) < SMALLEST_VERDICT else "better" if gain > 0 else "worse"

    def cells(self) -> List[str]:
        numbers = ["-" if value is None else f"{self._shown(value):.2f}" for value in (self.a, self.b)]
        difference = "-" if self.difference is None else f"{self._shown(self.difference):+.2f}"
        return [self.name, self.unit, *numbers, difference, self.note]

    def _shown(self, value: float) -> float:
        """A number in its unit, rounded; without a sign for zero."""
        return round(100 * value if self.unit == "%" else value, 2) + 0.0


class MaskAgreement:
    """The agreement of the masks of one topic.

    Attributes:
        agreeing: share of the pixels with the same class, 0 to 1, of every frame.
        pixels: of all frames.
        pairs: classes x classes int64: differing pixels, rows the first report's class, columns the second's.
        confusions: 2 x classes x classes int64, of each report, over the frames for which both have the same ground
            truth, which is told by its pixels of each class.
        scored: how many frames those are.
    """

    def __init__(self, *, classes: int) -> None:
        self.agreeing = array("d")
        self.pixels = 0
        self.pairs = np.zeros((classes, classes), np.int64)
        self.confusions = np.zeros((2, classes, classes), np.int64)
        self.scored = 0

    def add(self, records: Tuple[FrameRecord, FrameRecord], masks: Tuple[np.ndarray, np.ndarray]) -> None:
        """Takes the next frame: its records and its H x W uint8 masks."""
        classes = len(self.pairs)
        differs = masks[0] != masks[1]
        pairs = classes * masks[0][differs].astype(np.int64) + masks[1][differs]
        self.pairs += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.pixels += differs.size
        self.agreeing.append(1 - len(pairs) / differs.size)
        confusions = np.stack([record.dense_confusion() for record in records])
        labeled = all(record.confusion is not None for record in records)
        if labeled and np.array_equal(*confusions.sum(axis=2)):
            self.scored += 1
            self.confusions += confusions


@dataclass(frozen=True)
class Comparison:
    """The differences of two reports on the same frames.

    Attributes:
        summaries, agreements: of each report and of their masks, by topic.
        timed: whether the engine's times can be compared: as many jobs, and the same hardware.
        scores: mIoU and the like, and the engine's times where these can be compared.
        iou: a row per class, the largest gain first; over the `scored` frames, see MaskAgreement.
        differing: share of all pixels with another class.
        pairs: the largest pairs of classes of A and B, with their share of the differing pixels.
        extremes: the frames whose masks differ most, with the share of the differing pixels.
    """

    reports: Tuple[FinishedReport, FinishedReport]
    summaries: Tuple[Topics, Topics]
    agreements: Dict[TopicKey, MaskAgreement]
    timed: bool
    scores: List[Row]
    iou: List[Row]
    frames: int
    scored: int
    differing: float
    pairs: List[Dict[str, Any]]
    extremes: List[Tuple[float, FrameRecord]]
    notices: List[str]


def compare_reports(a: FinishedReport, b: FinishedReport) -> Comparison:
    """Reads both reports and the bags of their masks, as streams.

    Raises BisenetError where they are of different bags, topics, frames or classes.
    """
    names = a.classes.names
    _require_same(a, b)
    summaries = summarize(a.records, classes=len(names)), summarize(b.records, classes=len(names))
    keys = [source.key for source in a.sources if any(source.key in topics for topics in summaries)]
    agreements = {key: compare_masks((a, b), key) for key in keys}
    confusions = np.sum([agreement.confusions for agreement in agreements.values()], axis=0)
    pairs = np.sum([agreement.pairs for agreement in agreements.values()], axis=0)
    scored = sum(agreement.scored for agreement in agreements.values())
    timed = a.jobs == b.jobs and a.hardware == b.hardware
    return Comparison(
        reports=(a, b),
        summaries=summaries,
        agreements=agreements,
        timed=timed,
        scores=_scores(summaries, confusions if scored else None, timed=timed),
        iou=_iou(confusions, names) if scored else [],
        frames=sum(len(agreement.agreeing) for agreement in agreements.values()),
        scored=scored,
        differing=float(pairs.sum()) / sum(agreement.pixels for agreement in agreements.values()),
        pairs=[
            {"a": names[row], "b": names[column], "share": json_number(pairs[row, column] / pairs.sum())}
            for row, column in largest_cells(pairs)
        ],
        extremes=_extremes(a, summaries[0], agreements),
        notices=_notices(a, b, summaries, scored),
    )


def compare_masks(reports: Tuple[FinishedReport, FinishedReport], topic: TopicKey) -> MaskAgreement:
    """Reads the masks of one topic from both reports, one frame at a time.

    Raises BisenetError where the frames are not the same; BagError where a bag of masks cannot be read.
    """
    agreement = MaskAgreement(classes=len(reports[0].classes))
    name = " ".join(topic)
    for first, second in zip_longest(*(report.read_masks(topic) for report in reports)):
        if first is None or second is None:
            missing = reports[0 if first is None else 1].folder
            raise BisenetError(
                f"{missing} has fewer frames of {name} than the other report; evaluate both models on the same bag"
            )
        records, masks = zip(first, second)
        one, other = records
        if one.key != other.key or one.stamp_ns != other.stamp_ns or masks[0].shape != masks[1].shape:
            raise BisenetError(
                f"the frames of {name} are not the same: {one.title} of {one.width}x{one.height} pixels in "
                f"{reports[0].folder}, {other.title} of {other.width}x{other.height} pixels in {reports[1].folder}; "
                "evaluate both models on the same bag"
            )
        agreement.add(records, masks)
    return agreement


def _require_same(a: FinishedReport, b: FinishedReport) -> None:
    topics = [sorted({" ".join(source.key) for source in report.sources}) for report in (a, b)]
    for what, names in {"classes": [a.classes.names, b.classes.names], "bags and topics": topics}.items():
        if names[0] != names[1]:
            one, other = (textwrap.shorten(", ".join(listed), width=200, placeholder=" ...") for listed in names)
            raise BisenetError(
                f"expected two reports on the same {what}, got {one} in {a.folder} and {other} in {b.folder}"
            )


def _scores(summaries: Sequence[Topics], confusions: Optional[np.ndarray], *, timed: bool) -> List[Row]:
    topics = [list(summary.values()) for summary in summaries]
    rows = []
    if confusions is not None:
        miou = [mean_iou(confusion, scored=_true_classes(confusion)) for confusion in confusions]
        rows = [_row("mIoU", miou), _row("pixel accuracy", map(pixel_accuracy, confusions))]
    rows.append(_row("temporal consistency", map(total_consistency, topics)))
    rows.append(_row("mean confidence", map(mean_confidence, topics))._replace(judged=False))
    if timed:
        a, b = map(engine_percentiles, topics)
        rows += [Row(f"engine, {which}", a[which], b[which], unit="ms") for which in PERCENTILES]
    return rows


def _iou(confusions: np.ndarray, names: Sequence[str]) -> List[Row]:
    rows = [_row(name, both) for name, *both in zip(names, *map(class_iou, confusions))]
    return sorted(rows, key=lambda row: -math.inf if row.difference is None else row.difference, reverse=True)


def _true_classes(confusion: np.ndarray) -> List[int]:
    """The classes that the ground truth has, over which both reports' mIoU is the mean.

    Of others a single pixel in one report would be a class of 0 % there, and none in the other.
    """
    return np.flatnonzero(confusion.sum(axis=1)).tolist()


def _row(name: str, scores: Iterable[float]) -> Row:
    a, b = (float(score) if math.isfinite(score) else None for score in scores)
    return Row(name, a, b)


def _extremes(
    report: FinishedReport, topics: Topics, agreements: Dict[TopicKey, MaskAgreement]
) -> List[Tuple[float, FrameRecord]]:
    lowest = lowest_frames([topics[key] for key in agreements], lambda topic: agreements[topic.key].agreeing)
    differing = [(1 - share, key) for share, key in lowest if share < 1]
    records = find_records(report.records, [key for _, key in differing])
    return [(share, records[key]) for share, key in differing]


def _notices(a: FinishedReport, b: FinishedReport, summaries: Sequence[Topics], scored: int) -> List[str]:
    found = []
    if a.jobs != b.jobs:
        found.append(
            f"the jobs side by side share the machine, {a.jobs} of A and {b.jobs} of B: the engine's times cannot be "
            "compared, and are left out"
        )
    elif a.hardware != b.hardware:
        one, other = (", ".join(map(" ".join, report.hardware.items())) or "unknown" for report in (a, b))
        found.append(
            f"the hardware differs, of A ({one}) and of B ({other}): the engine's times cannot be compared, and are "
            "left out"
        )
    changed = [bag for bag, files in a.contents.items() if files and b.contents[bag] and files != b.contents[bag]]
    if changed:
        found.append(
            f"the files of bag {', '.join(changed)} do not have the same sizes and times of change in A and B: unless "
            "one is a copy of the other, these are other images, and cannot be compared"
        )
    counts = [sum(topic.scored_frames for topic in topics.values()) for topics in summaries]
    if not counts[0] == counts[1] == scored:
        found.append(
            f"A has ground truth for {counts[0]} frames and B for {counts[1]}; "
            + (f"both are scored on the {scored} where it is the same" if scored else "it is never the same: no scores")
        )
    return found
