"""A benchmark's numbers as JSON, as a table and as a plot.

Table and plot are made of what the JSON file has, so that another machine can make them: `bisenet benchmark report`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from bisenet_ros.benchmark.interleaved_timing import Statistics, Timings
from bisenet_ros.benchmark.plot import draw_speed
from bisenet_ros.files.atomic_write import write_json, write_text
from bisenet_ros.model.input_size import Size, size_text

COLUMNS = (
    "frame",
    "network",
    "engine",
    "frames",
    "median ms",
    "p90",
    "p99",
    "FPS",
    "paper's FPS",
    "network ms",
    "where the time goes",
    "CPU ms",
    "time ratio",
)
Numbers = Dict[str, Any]
"""What `Benchmark.to_dict` returns, or a part of it."""


@dataclass(frozen=True)
class Measurement:
    """One engine on frames of one size.

    Attributes:
        frame_size, network_size: (height, width).
        runtime, precision: for the plot.
        description: the engine's own.
        reference: of the engine that this one took turns with and is compared to.
    """

    frame_size: Size
    network_size: Size
    runtime: str
    precision: str
    description: str
    timings: Timings
    reference: Timings

    @property
    def whole(self) -> Statistics:
        return Statistics.of(self.timings.whole)

    @property
    def ratio(self) -> float:
        """Of the medians; below 1 is faster than the reference."""
        return self.whole.median / Statistics.of(self.reference.whole).median

    def to_dict(self) -> Numbers:
        without_copies = self.timings.without_copies
        return {
            "frame_size": size_text(self.frame_size),
            "network_size": size_text(self.network_size),
            "runtime": self.runtime,
            "precision": self.precision,
            "engine": self.description,
            "frames": len(self.timings.whole),
            "whole": self.whole.to_dict_with_fps(),
            "without_copies": Statistics.of(without_copies).to_dict_with_fps() if without_copies else None,
            "stages": {stage: Statistics.of(times).to_dict() for stage, times in self.timings.stages.items()},
            "shares_percent": {stage: round(share, 1) for stage, share in self.timings.shares.items()},
            "processor": Statistics.of(self.timings.processor).to_dict(),
            "ratio": round(self.ratio, 3),
        }


@dataclass(frozen=True)
class Benchmark:
    """Numbers, and all that they depend on."""

    model: Dict[str, str]
    protocol: Dict[str, str]
    machine: Dict[str, str]
    measurements: List[Measurement]
    left_out: Dict[str, str]

    def to_dict(self) -> Numbers:
        """As the JSON file has it."""
        return {**vars(self), "measurements": [measurement.to_dict() for measurement in self.measurements]}


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes benchmark.json, benchmark.md and benchmark.png."""
    write_json(folder / "benchmark.json", numbers)
    write_text(folder / "benchmark.md", to_markdown(numbers))
    draw_speed(numbers).savefig(folder / "benchmark.png", dpi=100)


def to_markdown(numbers: Numbers) -> str:
    parts = [f"# {numbers['model']['file']}: speed", to_table(numbers["measurements"])]
    titles = {"model": "Model", "protocol": "Protocol", "machine": "Machine", "left_out": "Left out"}
    for key, title in titles.items():
        if numbers[key]:
            parts += [f"## {title}", "\n".join(f"- {name}: {value}" for name, value in numbers[key].items())]
    return "\n\n".join(parts) + "\n"


def to_table(measurements: Sequence[Numbers]) -> str:
    """A Markdown table with a row per measurement."""
    return markdown_table([COLUMNS, *map(_row, measurements)])


def _row(measurement: Numbers) -> Tuple[str, ...]:
    whole, without_copies = measurement["whole"], measurement["without_copies"]
    network = measurement["stages"].get("network")
    return (
        measurement["frame_size"],
        measurement["network_size"],
        measurement["engine"],
        str(measurement["frames"]),
        f"{whole['median_ms']:.2f}",
        f"{whole['p90_ms']:.2f}",
        f"{whole['p99_ms']:.2f}",
        f"{whole['fps']:.1f}",
        f"{without_copies['fps']:.1f}" if without_copies else "-",
        f"{network['median_ms']:.2f}" if network else "-",
        ", ".join(f"{stage} {share:.0f} %" for stage, share in measurement["shares_percent"].items()) or "-",
        f"{measurement['processor']['median_ms']:.1f}",
        f"{measurement['ratio']:.2f}",
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; the first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
