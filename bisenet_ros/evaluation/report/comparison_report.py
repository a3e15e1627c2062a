# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The comparison of two reports as text, JSON and a page."""

from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.report.comparison import Comparison, Row
from bisenet_ros.evaluation.report.figures import AGREEMENT, CONFIDENCE, CONSISTENCY, CURVES, ENGINE_TIME, series_chart
from bisenet_ros.evaluation.report.numbers import json_number, percent
from bisenet_ros.evaluation.report.page import write_page
from bisenet_ros.evaluation.report.picture_loader import load_pictures
from bisenet_ros.evaluation.report.pictures import disagreement_row
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.files.atomic_write import write_json, write_text
from bisenet_ros.files.file_names import printable
from bisenet_ros.model.class_groups import show_unlisted

FILES = ("compare.html", "compare.json", "compare.txt")
UNITS = {
    "mIoU": "mean over the classes that the ground truth has",
    "mIoU, pixel accuracy, iou, temporal consistency, mean confidence": "fraction, 0 to 1",
    "engine": "milliseconds per frame",
    "difference": "b - a",
    "ratio": "b / a",
    "differing": "fraction of the pixels, 0 to 1",
    "stamp_ns": "nanoseconds",
}


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Writes compare.html, compare.json and compare.txt into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "compare.json", to_dict(comparison))
    write_text(folder / "compare.txt", to_text(comparison))
    _write_page(folder / "compare.html", comparison)


def to_dict(comparison: Comparison) -> Dict[str, Any]:
    """The content of compare.json."""
    reports = {
        name: {"folder": str(report.folder), "model": report.model, "engine": report.engine, "jobs": report.jobs}
        for name, report in zip("ab", comparison.reports)
    }
    return {
        **reports,
        "frames": comparison.frames,
        "scored_frames": comparison.scored,
        "scores": _values(comparison.scores),
        "iou": _values(comparison.iou),
        "engine_ratio": {row.name.split()[-1]: json_number(row.ratio) for row in comparison.scores if row.ratio},
        "differing": json_number(comparison.differing),
        "differing_classes": comparison.pairs,
        "most_differing_frames": [
            {**record.place, "differing": json_number(share)} for share, record in comparison.extremes
        ],
        "notices": comparison.notices,
        "units": UNITS,
    }


def _values(rows: Sequence[Row]) -> Dict[str, Dict[str, Any]]:
    return {
        row.name: {"a": json_number(row.a), "b": json_number(row.b), "difference": json_number(row.difference)}
        for row in rows
    }


def to_text(comparison: Comparison) -> str:
    """A table for the terminal, on which the names of bags and topics change nothing but the text."""
    lines = [f"{name}: {report.title}" for name, report in zip("AB", comparison.reports)]
    lines += [f"note: {notice}" for notice in comparison.notices]
    lines += ["", *_table(comparison.scores)]
    if comparison.iou:
        lines += ["", "mIoU is the mean over the classes that the ground truth has"]
        lines += ["", "IoU, from the largest gain to the largest loss", *_table(comparison.iou)]
    lines += [
        "",
        f"masks differ in {percent(comparison.differing)} % of the pixels of {comparison.frames} frames, most in:",
    ]
    lines += [f"  {_frame_title(share, record)}" for share, record in comparison.extremes] or ["  no frame"]
    return printable("\n".join(lines) + "\n")


def _table(rows: Sequence[Row]) -> List[str]:
    table = [["", "", "A", "B", "B - A", ""], *(row.cells() for row in rows)]
    name, unit, *numbers, _ = (max(map(len, column)) for column in zip(*table))
    lines = []
    for cells in table:
        left = [cells[0].ljust(name), cells[1].ljust(unit)]
        right = [cell.rjust(width) for cell, width in zip(cells[2:5], numbers)]
        lines.append("  ".join([*left, *right, cells[5]]).rstrip())
    return lines


def _write_page(path: Path, comparison: Comparison) -> None:
    a, b = comparison.reports
    rows, missing = load_gallery(comparison)
    write_page(
        path,
        "compare.html.jinja",
        title=f"{a.model.get('file', a.folder.name)} and {b.model.get('file', b.folder.name)}, side by side",
        notices=[*comparison.notices, *missing],
        reports={name: report.title for name, report in zip("AB", comparison.reports)},
        colors=dict(zip("AB", CURVES)),
        frames=f"{comparison.frames:,}",
        scored=f"{comparison.scored:,}",
        differing=percent(comparison.differing),
        scores=[row.cells() for row in comparison.scores],
        iou=[row.cells() for row in comparison.iou],
        pairs=[{**pair, "share": percent(pair["share"], 1)} for pair in comparison.pairs],
        sections=[_section(comparison, source) for source in a.sources if source.key in comparison.agreements],
        gallery={
            "title": "Where they disagree most",
            "caption": "Differing pixels are red. Frames of one moment are left out but for the first of them.",
            "rows": rows,
        },
    )


def _section(comparison: Comparison, source: Source) -> Dict[str, Any]:
    a, b = (summaries[source.key] for summaries in comparison.summaries)
    charts = [
        series_chart(a, source, AGREEMENT, [comparison.agreements[source.key].agreeing]),
        series_chart(a, source, CONSISTENCY, [a.consistency, b.consistency]),
        series_chart(a, source, CONFIDENCE, [a.confidence, b.confidence]),
        series_chart(a, source, ENGINE_TIME, [a.engine_ms, b.engine_ms]) if comparison.timed else None,
    ]
    return {"title": f"{source.bag}: {source.topic}", "charts": list(filter(None, charts))}


def load_gallery(comparison: Comparison) -> Tuple[List[Dict[str, Any]], List[str]]:
    """The frames that differ most; none, and why, where a bag is gone or has been changed."""
    keys = [record.key for _, record in comparison.extremes]
    classes = comparison.reports[0].classes
    try:
        first, second = (load_pictures(it.folder, it.sources, it.records, keys) for it in comparison.reports)
        masks = {picture.key: picture.mask for picture in second}  # the reports may have their bags in another order
        pictures = {
            it.key: disagreement_row(
                it.frame, [show_unlisted(mask, classes) for mask in (it.mask, masks[it.key])], classes.color_table()
            )
            for it in first
        }
    except (BagError, OSError) as error:
        return [], [f"the pictures are left out: {error}"]
    return [
        {"title": _frame_title(share, record), "pictures": pictures[record.key]}
        for share, record in comparison.extremes
    ], []


def _frame_title(share: float, record: FrameRecord) -> str:
    return f"{record.title}: {percent(share)} % of the pixels differ"
