"""Two models, or two precisions, on the same bag: `bisenet compare REPORT_A REPORT_B`."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.bag_report import GALLERY, OPACITY, percent, render
from bisenet_ros.evaluation.report.finished_report import FinishedReport, read_report
from bisenet_ros.evaluation.report.mask_agreement import ComparisonError, MaskAgreement, compare_masks
from bisenet_ros.evaluation.report.page_pictures import draw_errors, embed_picture, shrink
from bisenet_ros.evaluation.report.record_summary import (
    TopicKey,
    TopicSummary,
    all_milliseconds,
    mean_confidence,
    most_extreme,
    sum_changes,
    summarize,
)
from bisenet_ros.evaluation.report.report_figures import CURVES, draw_series, time_axis
from bisenet_ros.evaluation.report.report_pictures import PictureLoader
from bisenet_ros.files.atomic_write import write_json, write_text
from bisenet_ros.images.colors import blend

MOST_PAIRS = 10
Topics = Dict[TopicKey, TopicSummary]
UNITS = {
    "miou, pixel_accuracy, iou, changed, confidence": "fraction, 0 to 1",
    "engine_ms": "milliseconds per frame",
    "difference": "b - a",
    "ratio": "b / a",
    "differing": "fraction of the pixels, 0 to 1",
    "stamp_ns": "nanoseconds",
}


class Row(NamedTuple):
    """A number of both reports.

    Attributes:
        factor, unit: from the number to what people read.
        better: 1 where higher is better, -1 where lower is, 0 for neither.
    """

    name: str
    a: Optional[float]
    b: Optional[float]
    factor: float
    unit: str
    better: int

    @property
    def difference(self) -> Optional[float]:
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def verdict(self) -> str:
        """Of what is shown: a difference that rounds to nothing is none."""
        gain = self.better * self._shown
        return "better" if gain > 0 else "worse" if gain < 0 else ""

    @property
    def note(self) -> str:
        """The verdict; of times the ratio, since they differ a little every time."""
        return f"{self.b / self.a:.2f} times" if self.unit == "ms" and self.a and self.b else self.verdict

    @property
    def _shown(self) -> float:
        return round(self.factor * (self.difference or 0.0), 2) + 0.0  # without a sign for zero

    def cells(self) -> List[str]:
        numbers = ["-" if value is None else f"{self.factor * value:.2f}" for value in (self.a, self.b)]
        difference = "-" if self.difference is None else f"{self._shown:+.2f}"
        return [self.name, self.unit, *numbers, difference, self.note]


@dataclass(frozen=True)
class Comparison:
    """What two reports on the same frames have to say of each other.

    Attributes:
        summaries: of each report, by topic.
        agreements: of the masks, by topic.
        scores: mIoU and the like; `iou`: a row per class, the largest gain first; both over `scored` frames, for which
            both reports have truth.
        notices: for people.
    """

    reports: Tuple[FinishedReport, FinishedReport]
    summaries: Tuple[Topics, Topics]
    agreements: Dict[TopicKey, MaskAgreement]
    scores: List[Row]
    iou: List[Row]
    scored: int
    notices: List[str]

    @property
    def frames(self) -> int:
        return sum(agreement.frames for agreement in self.agreements.values())

    @property
    def pairs(self) -> np.ndarray:
        return np.sum([agreement.pairs for agreement in self.agreements.values()], axis=0)

    @property
    def differing(self) -> float:
        """Share of all pixels with another label."""
        return float(self.pairs.sum()) / sum(agreement.pixels for agreement in self.agreements.values())

    @property
    def largest_pairs(self) -> List[Dict[str, Any]]:
        """Classes of A and B and their share of the differing pixels."""
        names, pairs = self.reports[0].labels.names, self.pairs
        places = np.argsort(-pairs, axis=None, kind="stable")[:MOST_PAIRS]
        found = [(*divmod(int(place), len(names)), int(pairs.flat[place])) for place in places]
        return [
            {"a": names[a], "b": names[b], "share": round(pixels / pairs.sum(), 6)} for a, b, pixels in found if pixels
        ]

    @property
    def extreme_frames(self) -> List[Tuple[float, FrameRecord]]:
        """The frames whose masks differ most, with the share of the differing pixels."""
        found = most_extreme(self.agreements.values(), lambda agreement: agreement.extremes, GALLERY)
        return [(share, record) for share, record in found if share]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Two models, or two precisions of one, side by side: REPORT_A and REPORT_B are folders that `bisenet "
        "evaluate-bag` made of the same bag with the same classes. Differences are B against A."
    )
    parser.add_argument("report_a", type=Path, metavar="REPORT_A")
    parser.add_argument("report_b", type=Path, metavar="REPORT_B")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="a folder for compare.html, compare.json and compare.txt"
    )


def run(arguments: argparse.Namespace) -> int:
    found = compare_reports(read_report(arguments.report_a), read_report(arguments.report_b))
    text = to_text(found)
    print(text, end="")
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_comparison(arguments.output, found, text=text)
        print(f"\nreport: {arguments.output / 'compare.html'}")
    return 0


def compare_reports(a: FinishedReport, b: FinishedReport) -> Comparison:
    """Reads both reports and the bags of their masks, as streams.

    Raises:
        ComparisonError: they are of different bags, topics, frames or classes.
    """
    _require_same_subject(a, b)
    classes = len(a.labels)
    summaries = summarize(a.records, classes=classes), summarize(b.records, classes=classes)
    agreements = {
        topic: compare_masks((a, b), source, frames=summaries[0][topic].frames)
        for source in a.sources
        for topic in [(source.bag, source.topic)]
        if topic in summaries[0]
    }
    confusions = np.sum([agreement.confusions for agreement in agreements.values()], axis=0)
    scored = sum(agreement.scored for agreement in agreements.values())
    return Comparison(
        reports=(a, b),
        summaries=summaries,
        agreements=agreements,
        scores=_scores(summaries, confusions if scored else None),
        iou=_iou(confusions, a.labels.names) if scored else [],
        scored=scored,
        notices=_notices(summaries, scored),
    )


def write_comparison(folder: Path, found: Comparison, *, text: str) -> None:
    """Writes compare.html, compare.json and compare.txt."""
    write_json(folder / "compare.json", to_dict(found))
    write_text(folder / "compare.txt", text)
    write_text(folder / "compare.html", _render(found))


def to_dict(found: Comparison) -> Dict[str, Any]:
    """The content of compare.json."""

    def values(rows: Sequence[Row]) -> Dict[str, Any]:
        return {
            row.name: {"a": _round(row.a), "b": _round(row.b), "difference": _round(row.difference)} for row in rows
        }

    return {
        **{
            name: {"folder": str(report.folder), "model": report.model, "engine": report.engine}
            for name, report in zip("ab", found.reports)
        },
        "frames": found.frames,
        "scored_frames": found.scored,
        "scores": values(found.scores),
        "iou": values(found.iou),
        "engine_ratio": {which: _round(b / a) for which, (a, b) in _percentiles(found.summaries).items()},
        "differing": _round(found.differing),
        "differing_classes": found.largest_pairs,
        "most_differing_frames": [
            {
                "bag": record.bag,
                "topic": record.topic,
                "index": record.index,
                "stamp_ns": record.stamp_ns,
                "differing": _round(share),
            }
            for share, record in found.extreme_frames
        ],
        "notices": found.notices,
        "units": UNITS,
    }


def to_text(found: Comparison) -> str:
    """A table for the terminal."""
    lines = [f"{name}: {_title(report)}" for name, report in zip("AB", found.reports)]
    lines += [f"note: {notice}" for notice in found.notices]
    for title, rows in (("", found.scores), ("IoU, from the largest gain to the largest loss", found.iou)):
        if not rows:
            continue
        table = [["", "", "A", "B", "B - A", ""], *(row.cells() for row in rows)]
        widths = [max(map(len, column)) for column in zip(*table)]
        lines += ["", *([title] if title else [])]
        for cells in table:
            left = [cell.ljust(width) for cell, width in zip(cells[:2], widths)]
            right = [cell.rjust(width) for cell, width in zip(cells[2:5], widths[2:5])]
            lines.append("  ".join([*left, *right, cells[5]]).rstrip())
    lines += ["", f"masks differ in {percent(found.differing)} % of the pixels of {found.frames} frames, most in:"]
    lines += [f"  {_frame_title(share, record)}" for share, record in found.extreme_frames] or ["  no frame"]
    return "\n".join(lines) + "\n"


def _require_same_subject(a: FinishedReport, b: FinishedReport) -> None:
    if a.labels.names != b.labels.names:
        raise ComparisonError(
            f"expected two reports with the same classes, got {_listed(a.labels.names)} in {a.folder} and "
            f"{_listed(b.labels.names)} in {b.folder}"
        )
    topics = [{f"{source.bag} {source.topic}" for source in report.sources} for report in (a, b)]
    if topics[0] != topics[1]:
        raise ComparisonError(
            f"expected two reports on the same bags and topics, got {_listed(sorted(topics[0]))} in {a.folder} and "
            f"{_listed(sorted(topics[1]))} in {b.folder}"
        )


def _listed(names: Sequence[str], *, most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _scores(summaries: Sequence[Topics], confusions: Optional[np.ndarray]) -> List[Row]:
    def row(name: str, numbers: Sequence[float], factor: float, unit: str, better: int) -> Row:
        a, b = map(_finite, numbers)
        return Row(name, a, b, factor, unit, better)

    rows = []
    if confusions is not None:
        rows.append(row("mIoU", [mean_iou(confusion) for confusion in confusions], 100, "%", 1))
        rows.append(row("pixel accuracy", [pixel_accuracy(confusion) for confusion in confusions], 100, "%", 1))
    rows.append(row("changed between frames", [_changed(topics) for topics in summaries], 100, "%", -1))
    rows.append(row("mean confidence", [mean_confidence(topics.values()) for topics in summaries], 100, "%", 0))
    for which, times in _percentiles(summaries).items():
        rows.append(row(f"engine, {which}", times, 1, "ms", 0))
    return rows


def _changed(topics: Topics) -> float:
    compared, changed = sum_changes(topics.values()).sum(axis=0)
    return changed / compared if compared else math.nan


def _percentiles(summaries: Sequence[Topics]) -> Dict[str, List[float]]:
    """The engine's milliseconds in both reports."""
    times = [all_milliseconds(topics.values()) for topics in summaries]
    return {f"p{which}": [float(np.percentile(each, which)) for each in times] for which in (50, 90, 99)}


def _iou(confusions: np.ndarray, names: Sequence[str]) -> List[Row]:
    both = [[_finite(iou) for iou in class_iou(confusion)] for confusion in confusions]
    rows = [Row(name, a, b, 100, "%", 1) for name, a, b in zip(names, *both)]
    return sorted(rows, key=lambda row: -math.inf if row.difference is None else row.difference, reverse=True)


def _notices(summaries: Sequence[Topics], scored: int) -> List[str]:
    truth = [sum(topic.truth_frames for topic in topics.values()) for topics in summaries]
    if truth[0] == truth[1] == scored:
        return []
    return [
        f"A has truth for {truth[0]} frames and B for {truth[1]}; "
        + (f"both are scored on the {scored} that they share" if scored else "they share none, so there are no scores")
    ]


def _render(found: Comparison) -> str:
    a, b = found.reports
    rows, missing = _pictures(found)
    return render(
        "compare.html.jinja",
        title=f"{a.model.get('file', a.folder.name)} and {b.model.get('file', b.folder.name)}, side by side",
        notices=[*found.notices, *missing],
        reports={name: _title(report) for name, report in zip("AB", found.reports)},
        colors=dict(zip("AB", CURVES)),
        frames=f"{found.frames:,}",
        scored=f"{found.scored:,}",
        differing=percent(found.differing),
        scores=[row.cells() for row in found.scores],
        iou=[row.cells() for row in found.iou],
        pairs=[{**pair, "share": percent(pair["share"], 1)} for pair in found.largest_pairs],
        sections=[_section(found, topic) for topic in found.agreements],
        gallery={
            "title": "Where they disagree most",
            "caption": "Differing pixels are red. Frames of one moment are left out but for the first of them.",
            "rows": rows,
        },
    )


def _section(found: Comparison, topic: TopicKey) -> Dict[str, Any]:
    a, b = (summaries[topic] for summaries in found.summaries)
    source = next(source for source in found.reports[0].sources if (source.bag, source.topic) == topic)
    axis = time_axis(a.stamps_ns, frames=a.frames, ordered=not source.backwards)
    per_point = math.ceil(a.frames / len(a.stamps_ns))
    band = f" Each point has up to {per_point} frames: their mean, and a band from lowest to highest." * (per_point > 1)
    key = [{"name": name, "color": color} for name, color in zip("AB", CURVES)]
    curves = (
        ("Disagreement", [found.agreements[topic].differing], 100, "differing pixels (%)"),
        ("Temporal stability", [a.changed, b.changed], 100, "changed pixels (%)"),
        ("Confidence", [a.confidence, b.confidence], 100, "mean confidence (%)"),
        ("Engine time", [a.engine_ms, b.engine_ms], 1, "engine (ms per frame)"),
    )
    charts = [
        {
            "title": title,
            "key": key if len(series) > 1 else [],
            "svg": draw_series(
                f"{topic} {title}", axis, series, scale=scale, unit=unit, from_zero=title != "Confidence"
            ),
            "alt": f"curve: {unit} over time",
            "caption": f"{unit[0].upper()}{unit[1:]} over time.{band}",
        }
        for title, series, scale, unit in curves
        if all(curve.values for curve in series)
    ]
    return {"title": f"{topic[0]}: {topic[1]}", "charts": charts}


def _pictures(found: Comparison) -> Tuple[List[Dict[str, Any]], List[str]]:
    """The frames that differ most; none, and why, where a bag is gone."""
    try:
        return _gallery(found), []
    except (BagError, OSError) as error:
        return [], [f"the pictures are left out: {error}"]


def _gallery(found: Comparison) -> List[Dict[str, Any]]:
    extremes = found.extreme_frames
    keys = [record.key for _, record in extremes]
    first, second = (PictureLoader(report.folder, report.sources, report.records)(keys) for report in found.reports)
    # By key: the reports may have their bags in another order.
    labels = {picture.key: picture.labels for picture in second}
    colors = found.reports[0].labels.color_table()
    rows: Dict[FrameKey, List[Dict[str, str]]] = {}
    for a in first:
        frame = shrink(a.frame)
        masks = shrink(a.labels, mix=False), shrink(labels[a.key], mix=False)
        rows[a.key] = [
            {"title": "frame", "data": embed_picture(frame)},
            *(
                {"title": name, "data": embed_picture(blend(frame, mask, colors, opacity=OPACITY))}
                for name, mask in zip("AB", masks)
            ),
            {"title": "differing", "data": embed_picture(draw_errors(frame, *masks))},
        ]
    return [{"title": _frame_title(share, record), "pictures": rows[record.key]} for share, record in extremes]


def _title(report: FinishedReport) -> str:
    return f"{report.model.get('file', 'a model')}, {report.engine} ({report.folder})"


def _frame_title(share: float, record: FrameRecord) -> str:
    place = f"frame {record.number} of {record.bag} {record.topic}, stamp {record.stamp_ns} ns"
    return f"{place}: {percent(share)} % of the pixels differ"


def _finite(value: float) -> Optional[float]:
    return float(value) if math.isfinite(value) else None


def _round(value: Optional[float]) -> Optional[float]:
    return None if value is None else round(value, 6)
