# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report of `bisenet evaluate-bag`: a page, the same as JSON, and a CSV of frames."""

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence

import numpy as np

from bisenet_ros.evaluation import temporal_consistency
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.metrics import class_iou, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.bag_page import write_bag_page
from bisenet_ros.evaluation.report.numbers import json_number, json_ratio
from bisenet_ros.evaluation.report.picture_loader import LoadPictures
from bisenet_ros.evaluation.report.record_summary import (
    TopicSummary,
    engine_percentiles,
    find_records,
    lowest_frames,
    mean_confidence,
    summarize,
    total_consistency,
)
from bisenet_ros.evaluation.run_summary import RunSummary
from bisenet_ros.files.atomic_write import write_json

REPORT, PAGE, TABLE = "report.json", "report.html", "report.csv"
FILES = (REPORT, PAGE, TABLE)
UNITS = {
    "miou, pixel_accuracy, iou": "fraction, 0 to 1",
    "confusion": "pixels; rows the ground truth, columns the mask",
    "share": "fraction of the pixels, 0 to 1",
    "changed": "fraction of the compared pixels, 0 to 1",
    "temporal_consistency": "1 - changed",
    "confidence": "0 to 1",
    "engine_ms": "milliseconds per frame",
    "stamp_ns": "nanoseconds",
    "span_s": "seconds",
}


def write_bag_report(
    folder: Path, records: Iterable[FrameRecord], run: RunSummary, *, load_pictures: LoadPictures
) -> Dict[str, Any]:
    """Writes report.html, report.json and report.csv of at least one record into a folder; what is in the JSON."""
    topics = list(summarize(records, classes=len(run.classes)).values())
    lowest = {
        "uncertain": lowest_frames(topics, lambda topic: topic.confidence),
        "changed": lowest_frames(topics, lambda topic: topic.consistency),
        "wrong": lowest_frames(topics, lambda topic: topic.miou),
    }
    found = find_records(records, {key for frames in lowest.values() for _, key in frames})
    extremes = {kind: [found[key] for _, key in frames] for kind, frames in lowest.items()}
    findings = describe_findings(topics, run, extremes)
    write_csv(folder / TABLE, records, names=run.classes.names)
    write_bag_page(folder / PAGE, topics, run, extremes, findings, load_pictures)
    write_json(folder / REPORT, findings)
    return findings


def describe_findings(
    topics: Sequence[TopicSummary], run: RunSummary, extremes: Dict[str, List[FrameRecord]]
) -> Dict[str, Any]:
    """The content of report.json."""
    names = run.classes.names
    frames, scored = (sum(counts) for counts in zip(*((topic.frames, topic.scored_frames) for topic in topics)))
    pixels = np.concatenate([topic.pixels for topic in topics])
    shares = np.average(np.concatenate([topic.shares for topic in topics]), axis=0, weights=pixels)
    confusion = np.sum([topic.confusion for topic in topics], axis=0)
    changes = np.sum([topic.change for topic in topics], axis=0)
    consistency = total_consistency(topics)
    protocol = {"frames with ground truth": f"{scored} of {frames}"} if scored else {}
    return {
        "frames": frames,
        "truth_frames": scored,
        "miou": json_number(mean_iou(confusion)),
        "pixel_accuracy": json_number(pixel_accuracy(confusion)),
        "iou": dict(zip(names, map(json_number, class_iou(confusion)))) if scored else None,
        "confusion": confusion.tolist() if scored else None,
        "share": dict(zip(names, map(json_number, shares))),
        "changed": json_number(1 - consistency),
        "temporal_consistency": json_number(consistency),
        "changed_by_class": {name: json_ratio(changed, compared) for name, (compared, changed) in zip(names, changes)},
        "confidence": json_number(mean_confidence(topics)),
        "engine_ms": engine_percentiles(topics),
        "model": run.model,
        "engine": run.engine,
        "machine": run.machine,
        "protocol": {**protocol, **run.protocol, "temporal consistency": temporal_consistency.METHOD},
        "classes": run.classes.to_list(),
        "sources": _describe_sources(topics, run),
        "notices": list(run.notices),
        "through_node": [asdict(replay) for replay in run.through_node],
        "extreme_frames": {kind: [_describe_frame(record) for record in found] for kind, found in extremes.items()},
        "units": UNITS,
    }


def write_csv(path: Path, records: Iterable[FrameRecord], *, names: Sequence[str]) -> None:
    """Writes a row per frame; empty cells where there was nothing to compare or no ground truth."""
    columns = ["bag", "topic", "index", "stamp_ns", "width_px", "height_px", "engine_ms", "confidence", "changed"]
    try:
        with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            writer = csv.writer(file)
            writer.writerow([*columns, "miou", "pixel_accuracy", *(f"share_{name}" for name in names)])
            writer.writerows(map(_csv_row, records))
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say of which file
        raise


def _csv_row(record: FrameRecord) -> List[Any]:
    confusion = record.dense_confusion()
    scores = record.changed, json_number(mean_iou(confusion)), json_number(pixel_accuracy(confusion))
    return [
        *(record.bag, record.topic, record.index, record.stamp_ns, record.width, record.height),
        *(f"{record.engine_ms:.3f}", f"{record.confidence:.6f}"),
        *("" if score is None else f"{score:.6f}" for score in scores),
        *(f"{share:.6f}" for share in record.shares),
    ]


def _describe_sources(topics: Sequence[TopicSummary], run: RunSummary) -> List[Dict[str, Any]]:
    summaries = {topic.key: topic for topic in topics}
    found = []
    for source in run.sources:
        described = asdict(source)
        del described["jobs"]  # the protocol has it
        topic = summaries.get(source.key)
        if topic:
            first, last = topic.stamps_ns[0], topic.stamps_ns[-1]
            described.update(
                frames=topic.frames,
                sizes_px={f"{width}x{height}": count for (width, height), count in topic.sizes.items()},
                first_stamp_ns=first,
                last_stamp_ns=last,
                span_s=(last - first) / 1e9,
                truth_frames=topic.scored_frames,
                miou=json_number(mean_iou(topic.confusion)),
            )
        found.append(described)
    return found


def _describe_frame(record: FrameRecord) -> Dict[str, Any]:
    return {
        **record.place,
        "confidence": json_number(record.confidence),
        "changed": json_number(record.changed),
        "miou": json_number(mean_iou(record.dense_confusion())),
    }
