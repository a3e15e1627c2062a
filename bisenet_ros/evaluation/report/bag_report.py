"""The report of `bisenet evaluate-bag`: a page that needs no other file, the same as JSON, and a CSV of frames."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any, Callable, Collection, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from bisenet_ros.evaluation import temporal_stability
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.page_pictures import (
    LONGEST_SIDE,
    STRIP_SECONDS,
    STRIP_SIDE,
    animate,
    draw_errors,
    embed,
    embed_picture,
    shrink,
)
from bisenet_ros.evaluation.report.record_summary import (
    Extremes,
    TopicSummary,
    all_milliseconds,
    most_extreme,
    sum_changes,
    summarize,
)
from bisenet_ros.evaluation.report.report_figures import class_key, draw_series, draw_shares, time_axis
from bisenet_ros.evaluation.run_summary import RunSummary, Source
from bisenet_ros.files.atomic_write import partial_of, write_json, write_text
from bisenet_ros.images.colors import blend, paint

REPORT = "report.json"
GALLERY = 4
"""Frames of a kind on the page."""
STRIP_FRAMES = 48
MOST_STRIPS = 3
"""Topics with an animated strip."""
OPACITY = 0.55
MOST_CONFUSION_CELLS = 30
"""Classes up to which the whole confusion matrix is shown."""
UNITS = {
    "miou, pixel_accuracy, iou": "fraction, 0 to 1",
    "confusion": "pixels; rows the truth, columns the label",
    "share": "fraction of the pixels, 0 to 1",
    "changed": "fraction of the compared pixels, 0 to 1",
    "confidence": "0 to 1",
    "engine_ms": "milliseconds per frame",
    "stamp_ns": "nanoseconds",
    "span_s": "seconds",
}


class Picture(NamedTuple):
    """A frame as H x W x 3 uint8 BGR, its H x W uint8 labels, and its truth where there is one."""

    key: FrameKey
    frame: np.ndarray
    labels: np.ndarray
    truth: Optional[np.ndarray]


LoadPictures = Callable[[Collection[FrameKey]], Iterator[Picture]]
"""Yields the frames asked for, in any order; each is dropped before the next."""


def write_report(folder: Path, records: Iterable[FrameRecord], run: RunSummary, *, load_pictures: LoadPictures) -> None:
    """Writes report.html, report.json and report.csv.

    Args:
        folder: exists.
        records: of all frames; read several times.

    Raises:
        ValueError: there is no record.
    """
    topics = list(summarize(records, classes=len(run.labels)).values())
    if not topics:
        raise ValueError("expected at least one segmented frame to report on, got none")
    extremes = {
        "uncertain": _extreme_records(topics, lambda topic: topic.uncertain),
        "changed": _extreme_records(topics, lambda topic: topic.unstable),
        "wrong": _extreme_records(topics, lambda topic: topic.wrong),
    }
    findings = describe_findings(topics, run, extremes)
    write_json(folder / REPORT, findings)
    write_csv(folder / "report.csv", records, names=run.labels.names)
    write_text(folder / "report.html", _render(topics, run, extremes, findings, load_pictures))


def describe_findings(
    topics: Sequence[TopicSummary], run: RunSummary, extremes: Dict[str, List[FrameRecord]]
) -> Dict[str, Any]:
    """The content of report.json."""
    sources = {(source.bag, source.topic): source for source in run.sources}
    changes = sum_changes(topics)
    frames = sum(topic.frames for topic in topics)
    shares = sum((topic.frames * topic.mean_shares for topic in topics), np.zeros(len(run.labels))) / frames
    confusion = sum((topic.confusion for topic in topics), np.zeros((len(run.labels),) * 2, np.int64))
    return {
        "frames": frames,
        **_scores(confusion, topics, run.labels.names),
        "share": dict(zip(run.labels.names, map(_number, shares))),
        "changed": _ratio(changes[:, 1].sum(), changes[:, 0].sum()),
        "changed_by_class": {name: _ratio(lost, all_) for name, (all_, lost) in zip(run.labels.names, changes)},
        "confidence": _number(
            np.average([t.confidence.total_mean for t in topics], weights=[t.frames for t in topics])
        ),
        "engine_ms": _percentiles(all_milliseconds(topics)),
        "model": run.model,
        "engine": run.engine,
        "machine": run.machine,
        "protocol": {**run.protocol, "temporal stability": temporal_stability.METHOD},
        "classes": run.labels.to_list(),
        "sources": [_describe_topic(topic, sources[topic.bag, topic.topic]) for topic in topics],
        "notices": list(run.notices),
        "through_node": [replay.to_dict() for replay in run.through_node],
        "extreme_frames": {kind: [_describe_frame(record) for record in found] for kind, found in extremes.items()},
        "units": UNITS,
    }


def write_csv(path: Path, records: Iterable[FrameRecord], *, names: Sequence[str]) -> None:
    """A row per frame; empty cells where there was nothing to compare or no truth."""
    partial = partial_of(path)
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = ["bag", "topic", "index", "stamp_ns", "width_px", "height_px", "engine_ms", "confidence", "changed"]
        writer.writerow([*columns, "miou", "pixel_accuracy", *(f"share_{name}" for name in names)])
        for record in records:
            confusion = record.dense_confusion()
            scores = record.changed, _number(mean_iou(confusion)), _number(pixel_accuracy(confusion))
            writer.writerow(
                [record.bag, record.topic, record.index, record.stamp_ns, record.width, record.height]
                + [f"{record.engine_ms:.3f}", f"{record.confidence:.6f}"]
                + ["" if score is None else f"{score:.6f}" for score in scores]
                + [f"{share:.6f}" for share in record.shares]
            )
    partial.replace(path)


def render(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("bisenet_ros.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def percent(fraction: Optional[float], digits: int = 2) -> str:
    """For people, without the sign; a dash for None."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f}"


def _extreme_records(topics: Sequence[TopicSummary], which: Callable[[TopicSummary], Extremes]) -> List[FrameRecord]:
    return [record for _, record in most_extreme(topics, which, GALLERY)]


def _describe_topic(topic: TopicSummary, source: Source) -> Dict[str, Any]:
    return {
        "bag": source.bag,
        "path": source.path,
        "topic": source.topic,
        "message_type": source.message_type,
        "masks": source.masks,
        "mask_topic": source.mask_topic,
        "frames": topic.frames,
        "sizes_px": {f"{width}x{height}": count for (width, height), count in topic.sizes.items()},
        "first_stamp_ns": topic.first_stamp_ns,
        "last_stamp_ns": topic.last_stamp_ns,
        "span_s": (topic.last_stamp_ns - topic.first_stamp_ns) / 1e9,
        "skipped": source.skipped,
        "ended_early": source.ended_early,
        "backwards": source.backwards,
        "truth_frames": topic.truth_frames,
        "miou": _number(mean_iou(topic.confusion)),
    }


def _describe_frame(record: FrameRecord) -> Dict[str, Any]:
    return {
        "bag": record.bag,
        "topic": record.topic,
        "index": record.index,
        "stamp_ns": record.stamp_ns,
        "confidence": _number(record.confidence),
        "changed": record.changed if record.changed is None else _number(record.changed),
        "miou": _number(mean_iou(record.dense_confusion())),
    }


def _scores(confusion: np.ndarray, topics: Sequence[TopicSummary], names: Sequence[str]) -> Dict[str, Any]:
    truth_frames = sum(topic.truth_frames for topic in topics)
    return {
        "truth_frames": truth_frames,
        "miou": _number(mean_iou(confusion)),
        "pixel_accuracy": _number(pixel_accuracy(confusion)),
        "iou": dict(zip(names, map(_number, class_iou(confusion)))) if truth_frames else None,
        "confusion": confusion.tolist() if truth_frames else None,
    }


def _render(
    topics: Sequence[TopicSummary],
    run: RunSummary,
    extremes: Dict[str, List[FrameRecord]],
    findings: Dict[str, Any],
    load_pictures: LoadPictures,
) -> str:
    pictures = _Pictures(run, topics, extremes)
    for picture in load_pictures(pictures.wanted):
        pictures.take(picture)
    sources = {(source.bag, source.topic): source for source in run.sources}
    engine = findings["engine_ms"]
    headline = f"mIoU {percent(findings['miou'])} %" if findings["truth_frames"] else f"{findings['frames']} frames"
    numbers = {
        "frames": f"{findings['frames']:,}",
        "frames with truth": f"{findings['truth_frames']:,}",
        "mIoU": f"{percent(findings['miou'])} %",
        "pixel accuracy": f"{percent(findings['pixel_accuracy'])} %",
        "changed between frames": f"{percent(findings['changed'])} %",
        "mean confidence": f"{percent(findings['confidence'], 1)} %",
        "engine, p50": f"{engine['p50']:.1f} ms",
        "engine, p99": f"{engine['p99']:.1f} ms",
    }
    for name in ("mIoU", "pixel accuracy", "frames with truth") if not findings["truth_frames"] else ():
        del numbers[name]
    return render(
        "bag_report.html.jinja",
        title=f"{', '.join(dict.fromkeys(source.bag for source in run.sources))}: {headline}",
        notices=[
            *(f"{source.bag} {source.topic}: {n}" for source in run.sources for n in source.notices),
            *run.notices,
        ],
        numbers=numbers,
        strips=pictures.strips(),
        classes=[_class_row(place, findings, run) for place in range(len(run.labels))],
        scores=_score_tables(np.array(findings["confusion"]), findings, run) if findings["truth_frames"] else None,
        sections=[_section(topic, sources[topic.bag, topic.topic], run) for topic in topics],
        galleries=pictures.galleries(),
        through_node={f"{replay.bag}: {replay.topic}": replay.facts() for replay in run.through_node},
        protocol=findings["protocol"],
        model={**run.model, "engine": run.engine},
        machine=run.machine,
    )


def _class_row(place: int, findings: Dict[str, Any], run: RunSummary) -> Dict[str, str]:
    label = run.labels[place]
    iou = (findings["iou"] or {}).get(label.name)
    return {
        "name": label.name,
        "color": f"rgb{label.color}",
        "share": percent(findings["share"][label.name]),
        "changed": percent(findings["changed_by_class"][label.name]),
        "iou": percent(iou),
        "bar": percent(iou or 0.0, 1),
    }


def _score_tables(confusion: np.ndarray, findings: Dict[str, Any], run: RunSummary) -> Dict[str, Any]:
    names = run.labels.names
    rows = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    wrong = confusion - np.diag(np.diag(confusion))
    largest = [divmod(int(place), len(names)) for place in np.argsort(-wrong, axis=None, kind="stable")[:10]]
    return {
        "frames": findings["truth_frames"],
        "names": names,
        "confusion": [{"name": name, "percent": row.tolist()} for name, row in zip(names, rows)]
        if len(names) <= MOST_CONFUSION_CELLS
        else None,
        "confusions": [
            {
                "truth": names[row],
                "label": names[column],
                "of_class": f"{rows[row, column]:.1f}",
                "of_all": f"{100 * confusion[row, column] / confusion.sum():.2f}",
            }
            for row, column in largest
            if wrong[row, column]
        ],
    }


def _section(topic: TopicSummary, source: Source, run: RunSummary) -> Dict[str, Any]:
    axis = time_axis(topic.stamps_ns, frames=topic.frames, ordered=not source.backwards)
    per_point = math.ceil(topic.frames / len(topic.stamps_ns))
    band = f" Each point has up to {per_point} frames: their mean, and a band from lowest to highest." * (per_point > 1)
    times = _percentiles(np.asarray(topic.milliseconds))
    percentiles = ", ".join(f"{name} {times[name]:.1f} ms" for name in ("p50", "p90", "p99"))
    name = f"{topic.bag}{topic.topic}"
    charts = [
        {
            "title": "Classes over time",
            "key": class_key(run.labels, topic.shares),
            "svg": draw_shares(axis, topic.shares, run.labels, name=name),
            "alt": "stacked areas: the share of every class over time",
            "caption": "Share of the pixels that every class has."
            + f" Each point is the mean of up to {per_point} frames." * (per_point > 1),
        }
    ]
    curves = (
        ("Temporal stability", topic.changed, 100, "changed pixels (%)", temporal_stability.METHOD),
        ("Confidence", topic.confidence, 100, "mean confidence (%)", "Mean over the pixels of each frame"),
        ("Engine time", topic.engine_ms, 1, "engine (ms per frame)", percentiles),
    )
    for title, series, scale, unit, caption in curves:
        if not series.values:
            continue
        zero = series is not topic.confidence
        charts.append(
            {
                "title": title,
                "key": [],
                "svg": draw_series(f"{name} {title}", axis, [series], scale=scale, unit=unit, from_zero=zero),
                "alt": f"curve: {unit} over time, on average {scale * (series.total_mean or 0):.2f}",
                "caption": f"{caption}.{band}",
            }
        )
    facts = {
        "bag": source.path,
        "topic": f"{source.topic} ({source.message_type})",
        "frames": f"{topic.frames:,}",
        "size": ", ".join(f"{width}x{height} px" for width, height in topic.sizes),
        "span": f"{(topic.last_stamp_ns - topic.first_stamp_ns) / 1e9:.2f} s, from stamp {topic.first_stamp_ns} ns",
        "masks": f"{source.masks}, topic {source.mask_topic}",
    }
    if topic.truth_frames:
        facts["truth"] = f"{topic.truth_frames:,} frames, mIoU {percent(_number(mean_iou(topic.confusion)))} %"
    return {"title": f"{topic.bag}: {topic.topic}", "charts": charts, "facts": facts}


class _Pictures:
    """Gathers what the page shows of the frames; of each only its shrunk pictures stay in memory."""

    def __init__(self, run: RunSummary, topics: Sequence[TopicSummary], extremes: Dict[str, List[FrameRecord]]) -> None:
        self._colors = run.labels.color_table()
        self._extremes = extremes
        self._strips = {(topic.bag, topic.topic): _evenly(topic) for topic in topics[:MOST_STRIPS]}
        self._rows: Dict[FrameKey, List[Dict[str, str]]] = {}
        self._overlays: Dict[FrameKey, np.ndarray] = {}

    @property
    def _shown(self) -> List[FrameKey]:
        return [record.key for records in self._extremes.values() for record in records]

    @property
    def wanted(self) -> List[FrameKey]:
        return list(dict.fromkeys([*self._shown, *(key for keys in self._strips.values() for key in keys)]))

    def take(self, picture: Picture) -> None:
        if picture.key in self._shown:
            self._rows[picture.key] = self._row(picture)
        if any(picture.key in keys for keys in self._strips.values()):
            self._overlays[picture.key] = self._overlay(picture, side=STRIP_SIDE)

    def strips(self) -> List[Dict[str, str]]:
        strips = []
        for (bag, topic), keys in self._strips.items():
            overlays = [self._overlays[key] for key in keys if key in self._overlays]
            same_size = [overlay for overlay in overlays if overlay.shape == overlays[0].shape]
            if len(same_size) > 1:
                strips.append(
                    {
                        "animation": embed(animate(same_size), kind=".webp"),
                        "still": embed_picture(same_size[0]),
                        "alt": f"animation: frames of {bag} {topic} with their labels laid over",
                        "caption": f"{bag} {topic}: {len(same_size)} frames at even intervals, {STRIP_SECONDS} s each.",
                    }
                )
        return strips

    def galleries(self) -> List[Dict[str, Any]]:
        apart = "Frames of one moment are left out but for the first of them."
        kinds = (
            ("wrong", "Worst frames", f"The lowest mIoU of their own; errors red, unlabeled pixels black. {apart}"),
            ("uncertain", "Most uncertain frames", f"The lowest mean confidence. {apart}"),
            ("changed", "Most changed frames", f"The most pixels that changed since the frame before. {apart}"),
        )
        return [
            {"title": title, "caption": caption, "rows": [self._described(record) for record in self._extremes[kind]]}
            for kind, title, caption in kinds
        ]

    def _described(self, record: FrameRecord) -> Dict[str, Any]:
        facts = [f"frame {record.number} of {record.bag} {record.topic}", f"stamp {record.stamp_ns} ns"]
        facts.append(f"confidence {percent(record.confidence, 1)} %")
        if record.changed is not None:
            facts.append(f"changed {percent(record.changed)} %")
        if record.confusion is not None:
            facts.append(f"mIoU {percent(_number(mean_iou(record.dense_confusion())))} %")
        return {"title": ", ".join(facts), "pictures": self._rows.get(record.key, [])}

    def _row(self, picture: Picture) -> List[Dict[str, str]]:
        frame, labels = shrink(picture.frame), shrink(picture.labels, mix=False)
        row = [
            {"title": "frame", "data": embed_picture(frame)},
            {"title": "mask", "data": self._painted(labels)},
            {"title": "overlay", "data": embed_picture(self._overlay(picture))},
        ]
        if picture.truth is not None:
            truth = shrink(picture.truth, mix=False)
            row.append({"title": "truth", "data": self._painted(truth)})
            row.append({"title": "errors", "data": embed_picture(draw_errors(frame, truth, labels))})
        return row

    def _painted(self, labels: np.ndarray) -> str:
        return embed_picture(paint(labels, self._colors[:, ::-1]), kind=".png")

    def _overlay(self, picture: Picture, *, side: int = LONGEST_SIDE) -> np.ndarray:
        labels = shrink(picture.labels, side=side, mix=False)
        return blend(shrink(picture.frame, side=side), labels, self._colors, opacity=OPACITY)


def _evenly(topic: TopicSummary) -> List[FrameKey]:
    places = np.linspace(0, len(topic.indices) - 1, min(STRIP_FRAMES, len(topic.indices))).astype(int)
    return [(topic.bag, topic.topic, int(index)) for index in topic.indices[places]]


def _percentiles(values: np.ndarray) -> Dict[str, float]:
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    found = {"mean": values.mean(), "p50": p50, "p90": p90, "p99": p99, "highest": values.max()}
    return {name: round(float(value), 3) for name, value in found.items()}


def _ratio(part: int, whole: int) -> Optional[float]:
    return _number(part / whole) if whole else None


def _number(value: float) -> Optional[float]:
    return round(float(value), 6) if math.isfinite(value) else None
