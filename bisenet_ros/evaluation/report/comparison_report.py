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

FILES = ("compare.html", "compare.json", "compare.txt")
UNITS = {
    "mIoU, pixel accuracy, iou, temporal consistency, mean confidence": "fraction, 0 to 1",
    "engine": "milliseconds per frame",
    "difference": "b - a",
    "ratio": "b / a",
    "differing": "fraction of the pixels, 0 to 1",
    "stamp_ns": "nanoseconds",
}


def write_comparison(folder: Path, found: Comparison) -> None:
    """Writes compare.html, compare.json and compare.txt into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "compare.json", to_dict(found))
    write_text(folder / "compare.txt", to_text(found).encode("utf-8", "backslashreplace").decode())
    _write_page(folder / "compare.html", found)


def to_dict(found: Comparison) -> Dict[str, Any]:
    """The content of compare.json."""
    reports = {
        name: {"folder": str(report.folder), "model": report.model, "engine": report.engine, "jobs": report.jobs}
        for name, report in zip("ab", found.reports)
    }
    return {
        **reports,
        "frames": found.frames,
        "scored_frames": found.scored,
        "scores": _values(found.scores),
        "iou": _values(found.iou),
        "engine_ratio": {row.name.split()[-1]: json_number(row.ratio) for row in found.scores if row.ratio},
        "differing": json_number(found.differing),
        "differing_classes": found.pairs,
        "most_differing_frames": [
            {**record.place, "differing": json_number(share)} for share, record in found.extremes
        ],
        "notices": found.notices,
        "units": UNITS,
    }


def _values(rows: Sequence[Row]) -> Dict[str, Dict[str, Any]]:
    return {
        row.name: {"a": json_number(row.a), "b": json_number(row.b), "difference": json_number(row.difference)}
        for row in rows
    }


def to_text(found: Comparison) -> str:
    """A table for the terminal."""
    lines = [f"{name}: {report.title}" for name, report in zip("AB", found.reports)]
    lines += [f"note: {notice}" for notice in found.notices]
    lines += ["", *_table(found.scores)]
    if found.iou:
        lines += ["", "IoU, from the largest gain to the largest loss", *_table(found.iou)]
    lines += ["", f"masks differ in {percent(found.differing)} % of the pixels of {found.frames} frames, most in:"]
    lines += [f"  {_frame_title(share, record)}" for share, record in found.extremes] or ["  no frame"]
    return "\n".join(lines) + "\n"


def _table(rows: Sequence[Row]) -> List[str]:
    table = [["", "", "A", "B", "B - A", ""], *(row.cells() for row in rows)]
    name, unit, *numbers, _ = (max(map(len, column)) for column in zip(*table))
    lines = []
    for cells in table:
        left = [cells[0].ljust(name), cells[1].ljust(unit)]
        right = [cell.rjust(width) for cell, width in zip(cells[2:5], numbers)]
        lines.append("  ".join([*left, *right, cells[5]]).rstrip())
    return lines


def _write_page(path: Path, found: Comparison) -> None:
    a, b = found.reports
    rows, missing = load_gallery(found)
    write_page(
        path,
        "compare.html.jinja",
        title=f"{a.model.get('file', a.folder.name)} and {b.model.get('file', b.folder.name)}, side by side",
        notices=[*found.notices, *missing],
        reports={name: report.title for name, report in zip("AB", found.reports)},
        colors=dict(zip("AB", CURVES)),
        frames=f"{found.frames:,}",
        scored=f"{found.scored:,}",
        differing=percent(found.differing),
        scores=[row.cells() for row in found.scores],
        iou=[row.cells() for row in found.iou],
        pairs=[{**pair, "share": percent(pair["share"], 1)} for pair in found.pairs],
        sections=[_section(found, source) for source in a.sources if source.key in found.agreements],
        gallery={
            "title": "Where they disagree most",
            "caption": "Differing pixels are red. Frames of one moment are left out but for the first of them.",
            "rows": rows,
        },
    )


def _section(found: Comparison, source: Source) -> Dict[str, Any]:
    a, b = (summaries[source.key] for summaries in found.summaries)
    same_jobs = found.reports[0].jobs == found.reports[1].jobs
    charts = [
        series_chart(a, source, AGREEMENT, [found.agreements[source.key].agreeing]),
        series_chart(a, source, CONSISTENCY, [a.consistency, b.consistency]),
        series_chart(a, source, CONFIDENCE, [a.confidence, b.confidence]),
        series_chart(a, source, ENGINE_TIME, [a.engine_ms, b.engine_ms]) if same_jobs else None,
    ]
    return {"title": f"{source.bag}: {source.topic}", "charts": list(filter(None, charts))}


def load_gallery(found: Comparison) -> Tuple[List[Dict[str, Any]], List[str]]:
    """The frames that differ most; none, and why, where a bag is gone or has been changed."""
    keys = [record.key for _, record in found.extremes]
    colors = found.reports[0].classes.color_table()
    try:
        first, second = (load_pictures(it.folder, it.sources, it.records, keys) for it in found.reports)
        masks = {picture.key: picture.mask for picture in second}  # the reports may have their bags in another order
        pictures = {it.key: disagreement_row(it.frame, (it.mask, masks[it.key]), colors) for it in first}
    except (BagError, OSError) as error:
        return [], [f"the pictures are left out: {error}"]
    return [
        {"title": _frame_title(share, record), "pictures": pictures[record.key]} for share, record in found.extremes
    ], []


def _frame_title(share: float, record: FrameRecord) -> str:
    return f"{record.title}: {percent(share)} % of the pixels differ"
