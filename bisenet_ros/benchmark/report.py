# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A benchmark's numbers as JSON, as a table and as a plot.

Table and plot are made of what the JSON file has, so that another machine can make them: `bisenet benchmark report`.
"""

from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import numpy as np

from bisenet_ros.benchmark import paper
from bisenet_ros.benchmark.interleaved_timing import Timings
from bisenet_ros.benchmark.markdown import markdown_table
from bisenet_ros.benchmark.plot import draw_speed
from bisenet_ros.files.atomic_write import write_figure, write_json, write_text

FILES = ("benchmark.json", "benchmark.md", "benchmark.png")

Numbers = Dict[str, Any]
"""What `EngineBenchmark.run` returns, or a part of it."""

COLUMNS: Dict[str, Callable[[Numbers], str]] = {
    "model": lambda found: found["model"],
    "frame": lambda found: found["frame_size"],
    "network": lambda found: found["network_size"],
    "engine": lambda found: found["engine"],
    "frames": lambda found: str(found["frames"]),
    "median ms": lambda found: _cell(found["whole"], "median_ms"),
    "p90": lambda found: _cell(found["whole"], "p90_ms"),
    "p99": lambda found: _cell(found["whole"], "p99_ms"),
    "FPS": lambda found: _cell(found["whole"], "fps", digits=1),
    "FPS by mean": lambda found: _cell(found["whole"], "fps_mean", digits=1),
    "FPS without copies": lambda found: _cell(found["without_copies"], "fps", digits=1),
    "network ms": lambda found: _cell(found["stages"].get("network"), "median_ms"),
    "where the time goes": lambda found: ", ".join(f"{k} {v:.0f} %" for k, v in found["shares_percent"].items()) or "-",
    "CPU ms": lambda found: _cell(found["processor"], "median_ms", digits=1),
    "time ratio": lambda found: _cell(found, "ratio"),
}
"""The cells of a measurement, by the heads of their columns."""


def describe_timings(timings: Timings, *, reference: Timings) -> Numbers:
    """The part of a measurement's numbers that was timed; `ratio` is to the reference, below 1 being faster."""
    whole, without_copies = timings.whole, timings.without_copies
    return {
        "frames": len(whole),
        "whole": statistics(whole, fps=True),
        "without_copies": statistics(without_copies, fps=True) if without_copies else None,
        "stages": {stage: statistics(times) for stage, times in timings.stages.items()},
        "shares_percent": {stage: round(share, 1) for stage, share in timings.shares.items()},
        "processor": statistics(timings.processor),
        "ratio": round(float(np.median(whole) / np.median(reference.whole)), 3),
    }


def statistics(milliseconds: Sequence[float], *, fps: bool = False) -> Dict[str, float]:
    """Percentiles, interpolated linearly, and the mean.

    Args:
        fps: add frames per second by the median and by the mean: for a whole frame, as a stage may take no time at all.
    """
    median, p90, p99 = np.percentile(milliseconds, (50, 90, 99))
    values = {"median_ms": median, "p90_ms": p90, "p99_ms": p99, "mean_ms": np.mean(milliseconds)}
    if fps:
        values["fps"], values["fps_mean"] = 1000 / median, 1000 / values["mean_ms"]
    return {name: round(float(value), 4) for name, value in values.items()}


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes benchmark.json, benchmark.md and benchmark.png; KeyError or TypeError for other numbers, and no file."""
    text, plot = to_markdown(numbers), draw_speed(numbers)
    write_json(folder / "benchmark.json", numbers)
    write_text(folder / "benchmark.md", text)
    write_figure(folder / "benchmark.png", plot, dpi=100)


def to_markdown(numbers: Numbers) -> str:
    parts = ["# Speed", to_table(numbers["measurements"])]
    if numbers["paper"]:
        parts += ["## Beside the paper", paper.compare(numbers["measurements"]), _listed(numbers["paper"])]
    parts += [text for model in numbers["models"] for text in (f"## {model['file']}", _listed(model))]
    titles = {"protocol": "Protocol", "machine": "Machine", "left_out": "Left out"}
    parts += [text for key, title in titles.items() if numbers[key] for text in (f"## {title}", _listed(numbers[key]))]
    return "\n\n".join(parts) + "\n"


def to_text(numbers: Numbers) -> str:
    """The text for the terminal: the table, the comparison with the paper if asked for, and all that it depends on."""
    parts = [to_table(numbers["measurements"])]
    if numbers["paper"]:
        parts += [paper.compare(numbers["measurements"]), _listed(numbers["paper"])]
    return "\n\n".join([*parts, _listed({**numbers["protocol"], **numbers["machine"]})])


def _listed(values: Numbers) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items())


def to_table(measurements: Sequence[Numbers]) -> str:
    """A Markdown table with a row per measurement."""
    return markdown_table([[*COLUMNS], *([cell(found) for cell in COLUMNS.values()] for found in measurements)])


def _cell(values: Optional[Numbers], name: str, *, digits: int = 2) -> str:
    return f"{values[name]:.{digits}f}" if values else "-"
