"""Compares two reports of `bisenet evaluate-bag` on the same bag: two models, or two precisions of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.finished_report import FinishedReport, ReportError
from bisenet_ros.evaluation.report.mask_agreement import MaskAgreement, compare_masks
from bisenet_ros.evaluation.report.record_summary import (
    TopicKey,
    TopicSummary,
    all_milliseconds,
    find_records,
    lowest_frames,
    mean_confidence,
    sum_changes,
    summarize,
)

MOST_PAIRS = 10
"""Pairs of classes that are listed."""
GALLERY = 4
"""Frames whose pictures are shown."""
SMALLEST_VERDICT = 0.1
"""Percentage points; a smaller difference is called neither better nor worse."""
PERCENTILES = (50, 90, 99)
"""Of the engine's times."""
Topics = Dict[TopicKey, TopicSummary]


class Row(NamedTuple):
    """A number of both reports.

    Attributes:
        factor, unit: from the number to what people read.
        better: 1 where higher is better, -1 where lower is, 0 for neither.
    """

    name: str
    a: Optional[float]
    b: Optional[float]
    factor: float = 100
    unit: str = "%"
    better: int = 1

    @property
    def difference(self) -> Optional[float]:
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def note(self) -> str:
        """Whether B is better or worse; of times the ratio, since they differ a little every time."""
        if self.unit == "ms":
            return f"{self.b / self.a:.2f} times" if self.a and self.b else ""
        gain = self.better * self._shown
        return "" if abs(gain) < SMALLEST_VERDICT else "better" if gain > 0 else "worse"

    @property
    def _shown(self) -> float:
        return round(self.factor * (self.difference or 0.0), 2) + 0.0  # without a sign for zero

    def cells(self) -> List[str]:
        numbers = ["-" if value is None else f"{self.factor * value:.2f}" for value in (self.a, self.b)]
        difference = "-" if self.difference is None else f"{self._shown:+.2f}"
        return [self.name, self.unit, *numbers, difference, self.note]


@dataclass(frozen=True)
class Comparison:
    """The differences of two reports on the same frames.

    Attributes:
        summaries: of each report, by topic.
        agreements: of the masks, by topic.
        scores: mIoU and the like; `iou`: a row per class, the largest gain first; both over `scored` frames, for which
            both reports have ground truth.
        times: of the engine; empty where they cannot be compared.
        differing: share of all pixels with another class.
        pairs: the largest pairs of classes of A and B, with their share of the differing pixels.
        extremes: the frames whose masks differ most, with the share of the differing pixels.
        notices: for people.
    """

    reports: Tuple[FinishedReport, FinishedReport]
    summaries: Tuple[Topics, Topics]
    agreements: Dict[TopicKey, MaskAgreement]
    scores: List[Row]
    times: List[Row]
    iou: List[Row]
    frames: int
    scored: int
    differing: float
    pairs: List[Dict[str, Any]]
    extremes: List[Tuple[float, FrameRecord]]
    notices: List[str]


def compare_reports(a: FinishedReport, b: FinishedReport) -> Comparison:
    """Reads both reports and the bags of their masks, as streams.

    Raises:
        ReportError: they are of different bags, topics, frames or classes.
    """
    _require_same_subject(a, b)
    names = a.classes.names
    summaries = summarize(a.records, classes=len(names)), summarize(b.records, classes=len(names))
    agreements = {source.key: compare_masks((a, b), source) for source in a.sources if source.key in summaries[0]}
    confusions = np.sum([agreement.confusions for agreement in agreements.values()], axis=0)
    pairs = np.sum([agreement.pairs for agreement in agreements.values()], axis=0)
    scored = sum(agreement.scored for agreement in agreements.values())
    return Comparison(
        reports=(a, b),
        summaries=summaries,
        agreements=agreements,
        scores=_scores(summaries, confusions if scored else None),
        times=_times(summaries) if a.jobs == b.jobs else [],
        iou=_iou(confusions, names) if scored else [],
        frames=sum(len(agreement.agreeing) for agreement in agreements.values()),
        scored=scored,
        differing=float(pairs.sum()) / sum(agreement.pixels for agreement in agreements.values()),
        pairs=_largest_pairs(pairs, names),
        extremes=_extremes(a, summaries[0], agreements),
        notices=_notices(a, b, summaries, scored),
    )


def _largest_pairs(pairs: np.ndarray, names: Sequence[str]) -> List[Dict[str, Any]]:
    places = [int(place) for place in np.argsort(-pairs, axis=None, kind="stable")[:MOST_PAIRS]]
    found = [(*divmod(place, len(names)), pairs.flat[place] / max(1, pairs.sum())) for place in places]
    return [{"a": names[a], "b": names[b], "share": round(share, 6)} for a, b, share in found if share]


def _extremes(
    report: FinishedReport, topics: Topics, agreements: Dict[TopicKey, MaskAgreement]
) -> List[Tuple[float, FrameRecord]]:
    agreeing = {topics[key]: agreement.agreeing for key, agreement in agreements.items()}
    lowest = [(share, key) for share, key in lowest_frames(agreeing, agreeing.__getitem__, GALLERY) if share < 1]
    records = find_records(report.records, [key for _, key in lowest])
    return [(1 - share, records[key]) for share, key in lowest]


def _require_same_subject(a: FinishedReport, b: FinishedReport) -> None:
    if a.classes.names != b.classes.names:
        raise ReportError(
            f"expected two reports with the same classes, got {_listed(a.classes.names)} in {a.folder} and "
            f"{_listed(b.classes.names)} in {b.folder}"
        )
    topics = [{f"{source.bag} {source.topic}" for source in report.sources} for report in (a, b)]
    if topics[0] != topics[1]:
        raise ReportError(
            f"expected two reports on the same bags and topics, got {_listed(sorted(topics[0]))} in {a.folder} and "
            f"{_listed(sorted(topics[1]))} in {b.folder}"
        )


def _listed(names: Sequence[str], *, most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _scores(summaries: Sequence[Topics], confusions: Optional[np.ndarray]) -> List[Row]:
    rows = []
    if confusions is not None:
        rows.append(_row("mIoU", mean_iou, confusions))
        rows.append(_row("pixel accuracy", pixel_accuracy, confusions))
    rows.append(_row("temporal consistency", _consistency, summaries))
    confidence = _row("mean confidence", lambda topics: mean_confidence(topics.values()), summaries)
    return [*rows, confidence._replace(better=0)]


def _row(name: str, score: Callable[[Any], float], subjects: Iterable[Any]) -> Row:
    a, b = (_finite(score(subject)) for subject in subjects)
    return Row(name, a, b)


def _consistency(topics: Topics) -> float:
    compared, changed = sum_changes(topics.values()).sum(axis=0)
    return 1 - changed / compared if compared else math.nan


def _times(summaries: Sequence[Topics]) -> List[Row]:
    """Percentiles of the engine's milliseconds."""
    a, b = (np.percentile(all_milliseconds(topics.values()), PERCENTILES) for topics in summaries)
    return [
        Row(f"engine, p{which}", float(a[place]), float(b[place]), factor=1, unit="ms", better=0)
        for place, which in enumerate(PERCENTILES)
    ]


def _iou(confusions: np.ndarray, names: Sequence[str]) -> List[Row]:
    both = [[_finite(iou) for iou in class_iou(confusion)] for confusion in confusions]
    rows = [Row(name, a, b) for name, a, b in zip(names, *both)]
    return sorted(rows, key=lambda row: -math.inf if row.difference is None else row.difference, reverse=True)


def _notices(a: FinishedReport, b: FinishedReport, summaries: Sequence[Topics], scored: int) -> List[str]:
    found = []
    if a.jobs != b.jobs:
        found.append(
            f"A was made with {a.jobs} and B with {b.jobs} jobs side by side, which share the machine: the engine's "
            "times cannot be compared, and are left out"
        )
    counts = [sum(topic.scored_frames for topic in topics.values()) for topics in summaries]
    if not counts[0] == counts[1] == scored:
        found.append(
            f"A has ground truth for {counts[0]} frames and B for {counts[1]}; "
            + (f"both are scored on the {scored} that they share" if scored else "they share none: no scores")
        )
    return found


def _finite(value: float) -> Optional[float]:
    return float(value) if math.isfinite(value) else None
