# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The page of `bisenet evaluate-bag`: numbers, classes, charts over time, and the frames worth a look."""

import errno
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.metrics import mean_iou
from bisenet_ros.evaluation.report.figures import CONFIDENCE, CONSISTENCY, ENGINE_TIME, series_chart, shares_chart
from bisenet_ros.evaluation.report.numbers import json_number, percent
from bisenet_ros.evaluation.report.page import class_rows, confusion_tables, write_page
from bisenet_ros.evaluation.report.picture_loader import LoadPictures
from bisenet_ros.evaluation.report.pictures import (
    STRIP_SECONDS,
    STRIP_SIDE,
    animate,
    draw_overlay,
    embed,
    embed_picture,
    picture_row,
)
from bisenet_ros.evaluation.report.record_summary import TopicSummary, engine_percentiles
from bisenet_ros.evaluation.run_summary import RunSummary, Source, TopicKey
from bisenet_ros.model.class_groups import show_unlisted

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
    """Writes report.html of the findings, as report.json has them, and the extreme frames of the galleries.

    Where a bag is gone or has been changed, the page has no pictures, and `findings["notices"]` gets the reason.
    """
    sources = {source.key: source for source in run.sources}
    described = {source.key: found for source, found in zip(run.sources, findings["sources"])}
    scored = findings["truth_frames"]
    headline = f"mIoU {percent(findings['miou'])} %" if scored else f"{findings['frames']} frames"
    try:
        pictures = _load_pictures(topics, run, extremes, load_pictures)
    except (BisenetError, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:  # the same command makes them when there is space
            raise
        pictures = {"strips": [], "galleries": []}
        findings["notices"].append(f"the report has no pictures: {error}")
    columns = {"share": findings["share"], "changed": findings["changed_by_class"], "IoU": findings["iou"] or {}}
    write_page(
        path,
        "bag_report.html.jinja",
        title=f"{', '.join(dict.fromkeys(source.bag for source in run.sources))}: {headline}",
        notices=[
            *(f"{source.bag} {source.topic}: {notice}" for source in run.sources for notice in source.notices),
            *findings["notices"],
        ],
        numbers=_numbers(findings),
        classes=class_rows(run.classes, columns),
        confusion=confusion_tables(np.array(findings["confusion"]), run.classes.names) if scored else None,
        scored_frames=scored,
        sections=[_section(topic, sources[topic.key], run, described[topic.key]) for topic in topics],
        **pictures,
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


def _section(topic: TopicSummary, source: Source, run: RunSummary, findings: Dict[str, Any]) -> Dict[str, Any]:
    charts = [
        shares_chart(topic, source, run.classes),
        series_chart(topic, source, CONSISTENCY, [topic.consistency]),
        series_chart(topic, source, CONFIDENCE, [topic.confidence]),
        series_chart(topic, source, ENGINE_TIME, [topic.engine_ms]),
    ]
    facts = {
        "bag": source.path,
        "topic": f"{source.topic} ({source.message_type})",
        "frames": f"{topic.frames:,}",
        "size": ", ".join(f"{size} px" for size in findings["sizes_px"]),
        "span": f"{findings['span_s']:.2f} s, from stamp {findings['first_stamp_ns']} ns",
        "masks": f"{source.masks}, topic {source.mask_topic}",
        "engine": ", ".join(f"{name} {value:.1f} ms" for name, value in engine_percentiles([topic]).items()),
    }
    if topic.scored_frames:
        facts["ground truth"] = f"{topic.scored_frames:,} frames, mIoU {percent(findings['miou'])} %"
    return {"title": f"{source.bag}: {source.topic}", "charts": list(filter(None, charts)), "facts": facts}


def _load_pictures(
    topics: Sequence[TopicSummary], run: RunSummary, extremes: Dict[str, List[FrameRecord]], load: LoadPictures
) -> Dict[str, Any]:
    """The strips and the galleries; of each frame only its shrunk pictures stay in memory."""
    colors = run.classes.color_table()
    shown = {record.key for records in extremes.values() for record in records}
    strips = {}
    for topic in topics[:MOST_STRIPS]:
        places = np.linspace(0, topic.frames - 1, min(STRIP_FRAMES, topic.frames)).astype(int)
        strips[topic.key] = [topic.frame_key(place) for place in places]
    in_strips = set().union(*strips.values())
    rows: Dict[FrameKey, Dict[str, str]] = {}
    overlays: Dict[FrameKey, np.ndarray] = {}
    for picture in load(shown | in_strips):
        if picture.key in shown:
            rows[picture.key] = picture_row(
                picture.frame, show_unlisted(picture.mask, run.classes), picture.ground_truth, colors
            )
        if picture.key in in_strips:
            overlays[picture.key] = draw_overlay(picture.frame, picture.mask, colors, side=STRIP_SIDE)
    animated = [_strip(key, [overlays[frame] for frame in frames]) for key, frames in strips.items()]
    galleries = [
        {"title": title, "caption": caption, "rows": [_describe(record, rows[record.key]) for record in extremes[kind]]}
        for kind, title, caption in GALLERIES
    ]
    return {"strips": list(filter(None, animated)), "galleries": galleries}


def _strip(topic: TopicKey, overlays: Sequence[np.ndarray]) -> Dict[str, str]:
    """An animation of the frames of one size; empty where there is nothing to move."""
    same_size = [overlay for overlay in overlays if overlay.shape == overlays[0].shape]
    if len(same_size) < 2:
        return {}
    name = " ".join(topic)
    return {
        "animation": embed(animate(same_size), kind=".webp"),
        "still": embed_picture(same_size[0]),
        "alt": f"animation: frames of {name} with their masks laid over",
        "caption": f"{name}: {len(same_size)} frames at even intervals, {STRIP_SECONDS} s each.",
    }


def _describe(record: FrameRecord, pictures: Dict[str, str]) -> Dict[str, Any]:
    facts = [record.title, f"confidence {percent(record.confidence, 1)} %"]
    if record.changed is not None:
        facts.append(f"changed {percent(record.changed)} %")
    if record.confusion is not None:
        facts.append(f"mIoU {percent(json_number(mean_iou(record.dense_confusion())))} %")
    return {"title": ", ".join(facts), "pictures": pictures}
