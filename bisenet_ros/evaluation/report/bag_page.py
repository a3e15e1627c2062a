"""The page of `bisenet evaluate-bag`: numbers, classes, charts over time, and the frames worth a look."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.metrics import mean_iou
from bisenet_ros.evaluation.report.figures import CONFIDENCE, CONSISTENCY, ENGINE_TIME, series_chart, shares_chart
from bisenet_ros.evaluation.report.page import confusion_tables, number, percent, write_page
from bisenet_ros.evaluation.report.picture_loader import LoadPictures, Picture
from bisenet_ros.evaluation.report.pictures import (
    STRIP_SECONDS,
    STRIP_SIDE,
    animate,
    draw_overlay,
    embed,
    embed_picture,
    picture_row,
)
from bisenet_ros.evaluation.report.record_summary import TopicKey, TopicSummary, percentiles
from bisenet_ros.evaluation.run_summary import RunSummary, Source

STRIP_FRAMES = 48
"""Frames of an animated strip."""
MOST_STRIPS = 3
"""Topics with an animated strip."""
APART = "Frames of one moment are left out but for the first of them."
GALLERIES = (
    ("wrong", "Worst frames", f"The lowest mIoU of their own; errors red, unlabeled pixels black. {APART}"),
    ("uncertain", "Most uncertain frames", f"The lowest mean confidence. {APART}"),
    ("changed", "Most changed frames", f"The most pixels whose class changed since the frame before. {APART}"),
)


def write_bag_page(
    path: Path,
    topics: Sequence[TopicSummary],
    run: RunSummary,
    extremes: Dict[str, List[FrameRecord]],
    findings: Dict[str, Any],
    load_pictures: LoadPictures,
) -> None:
    """Writes report.html.

    Args:
        extremes: the frames of the galleries.
        findings: the content of report.json.
    """
    pictures = _Pictures(run.classes.color_table(), topics, extremes)
    for picture in load_pictures(pictures.wanted):
        pictures.take(picture)
    sources = {source.key: source for source in run.sources}
    scored = findings["truth_frames"]
    headline = f"mIoU {percent(findings['miou'])} %" if scored else f"{findings['frames']} frames"
    write_page(
        path,
        "bag_report.html.jinja",
        title=f"{', '.join(dict.fromkeys(source.bag for source in run.sources))}: {headline}",
        notices=[
            *(f"{source.bag} {source.topic}: {notice}" for source in run.sources for notice in source.notices),
            *run.notices,
        ],
        numbers=_numbers(findings),
        strips=pictures.strips(),
        classes=[_class_row(place, findings, run) for place in range(len(run.classes))],
        confusion=confusion_tables(np.array(findings["confusion"]), run.classes.names) if scored else None,
        scored_frames=scored,
        sections=[_section(topic, sources[topic.bag, topic.topic], run) for topic in topics],
        galleries=pictures.galleries(),
        through_node={f"{replay.bag}: {replay.topic}": replay.facts() for replay in run.through_node},
        protocol=findings["protocol"],
        model={**run.model, "engine": run.engine},
        machine=run.machine,
    )


def _numbers(findings: Dict[str, Any]) -> Dict[str, str]:
    engine = findings["engine_ms"]
    scores = {
        "frames with ground truth": f"{findings['truth_frames']:,}",
        "mIoU": f"{percent(findings['miou'])} %",
        "pixel accuracy": f"{percent(findings['pixel_accuracy'])} %",
    }
    return {
        "frames": f"{findings['frames']:,}",
        **(scores if findings["truth_frames"] else {}),
        "temporal consistency": f"{percent(findings['temporal_consistency'])} %",
        "mean confidence": f"{percent(findings['confidence'], 1)} %",
        "engine, p50": f"{engine['p50']:.1f} ms",
        "engine, p99": f"{engine['p99']:.1f} ms",
    }


def _class_row(place: int, findings: Dict[str, Any], run: RunSummary) -> Dict[str, str]:
    entry = run.classes[place]
    return {
        "name": entry.name,
        "color": f"rgb{entry.color}",
        "share": percent(findings["share"][entry.name]),
        "changed": percent(findings["changed_by_class"][entry.name]),
        "IoU": percent((findings["iou"] or {}).get(entry.name)),
    }


def _section(topic: TopicSummary, source: Source, run: RunSummary) -> Dict[str, Any]:
    charts = [
        shares_chart(topic, source, run.classes),
        series_chart(topic, source, CONSISTENCY, [topic.consistency]),
        series_chart(topic, source, CONFIDENCE, [topic.confidence]),
        series_chart(topic, source, ENGINE_TIME, [topic.engine_ms]),
    ]
    first, last = topic.stamps_ns[0], topic.stamps_ns[-1]
    facts = {
        "bag": source.path,
        "topic": f"{source.topic} ({source.message_type})",
        "frames": f"{topic.frames:,}",
        "size": ", ".join(f"{width}x{height} px" for width, height in topic.sizes),
        "span": f"{(last - first) / 1e9:.2f} s, from stamp {first} ns",
        "masks": f"{source.masks}, topic {source.mask_topic}",
        "engine": ", ".join(
            f"{name} {milliseconds:.1f} ms" for name, milliseconds in percentiles(topic.engine_ms).items()
        ),
    }
    if topic.scored_frames:
        miou = percent(number(mean_iou(topic.confusion)))
        facts["ground truth"] = f"{topic.scored_frames:,} frames, mIoU {miou} %"
    return {"title": f"{topic.bag}: {topic.topic}", "charts": list(filter(None, charts)), "facts": facts}


class _Pictures:
    """Gathers what the page shows of the frames; of each only its shrunk pictures stay in memory."""

    def __init__(
        self, color_table: np.ndarray, topics: Sequence[TopicSummary], extremes: Dict[str, List[FrameRecord]]
    ) -> None:
        self._colors = color_table
        self._extremes = extremes
        self._shown = {record.key for records in extremes.values() for record in records}
        self._strips: Dict[TopicKey, List[FrameKey]] = {
            (topic.bag, topic.topic): _evenly(topic) for topic in topics[:MOST_STRIPS]
        }
        self._rows: Dict[FrameKey, List[Dict[str, str]]] = {}
        self._overlays: Dict[FrameKey, np.ndarray] = {}

    @property
    def wanted(self) -> List[FrameKey]:
        return list(self._shown.union(*self._strips.values()))

    def take(self, picture: Picture) -> None:
        if picture.key in self._shown:
            self._rows[picture.key] = picture_row(picture.frame, picture.mask, picture.ground_truth, self._colors)
        if any(picture.key in keys for keys in self._strips.values()):
            self._overlays[picture.key] = draw_overlay(picture.frame, picture.mask, self._colors, side=STRIP_SIDE)

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
                        "alt": f"animation: frames of {bag} {topic} with their masks laid over",
                        "caption": f"{bag} {topic}: {len(same_size)} frames at even intervals, {STRIP_SECONDS} s each.",
                    }
                )
        return strips

    def galleries(self) -> List[Dict[str, Any]]:
        return [
            {"title": title, "caption": caption, "rows": [self._described(record) for record in self._extremes[kind]]}
            for kind, title, caption in GALLERIES
        ]

    def _described(self, record: FrameRecord) -> Dict[str, Any]:
        facts = [f"frame {record.number} of {record.bag} {record.topic}", f"stamp {record.stamp_ns} ns"]
        facts.append(f"confidence {percent(record.confidence, 1)} %")
        if record.changed is not None:
            facts.append(f"changed {percent(record.changed)} %")
        if record.confusion is not None:
            facts.append(f"mIoU {percent(number(mean_iou(record.dense_confusion())))} %")
        return {"title": ", ".join(facts), "pictures": self._rows.get(record.key, [])}


def _evenly(topic: TopicSummary) -> List[FrameKey]:
    places = np.linspace(0, topic.frames - 1, min(STRIP_FRAMES, topic.frames)).astype(int)
    return [topic.key(place) for place in places]
