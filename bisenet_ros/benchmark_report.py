"""The benchmark's numbers as a table, as JSON, and as a plot in the form of the paper's Fig. 10."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from bisenet_ros.interleaved_timing import Statistics, Timings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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


@dataclass(frozen=True)
class Measurement:
    """One engine on frames of one size.

    Attributes:
        frame_size, network_size: (height, width).
        runtime, precision: for the plot.
        description: the engine's own.
        reference: of the engine that this one took turns with and is compared to.
    """

    frame_size: Tuple[int, int]
    network_size: Tuple[int, int]
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

    def to_dict(self) -> Dict[str, Any]:
        without_copies = self.timings.without_copies
        return {
            "frame_size": size_text(self.frame_size),
            "network_size": size_text(self.network_size),
            "runtime": self.runtime,
            "precision": self.precision,
            "engine": self.description,
            "frames": len(self.timings.whole),
            "whole": self.whole.to_dict(),
            "without_copies": Statistics.of(without_copies).to_dict() if without_copies else None,
            "stages": {stage: Statistics.of(times).to_dict() for stage, times in self.timings.stages.items()},
            "shares_percent": {stage: round(share, 1) for stage, share in self.timings.shares.items()},
            "processor": Statistics.of(self.timings.processor).to_dict(),
            "ratio": round(self.ratio, 3),
        }


@dataclass(frozen=True)
class Benchmark:
    """Numbers, and all that they depend on; see `to_json`."""

    model: Dict[str, str]
    protocol: Dict[str, str]
    machine: Dict[str, str]
    measurements: List[Measurement]
    left_out: Dict[str, str]

    def to_json(self) -> str:
        values = {**vars(self), "measurements": [measurement.to_dict() for measurement in self.measurements]}
        return json.dumps(values, indent=1, allow_nan=False) + "\n"


def load_matplotlib() -> None:
    """Raises ValueError, with the command to install it, where it is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the plot needs the Python package {error.name!r}, which is not installed; install it with "
            "`pip install matplotlib`, or leave out --sweep and -o: --json needs none"
        ) from None


def write_report(folder: Path, found: Benchmark) -> None:
    """Writes benchmark.json, benchmark.md and benchmark.png."""
    (folder / "benchmark.json").write_text(found.to_json())
    (folder / "benchmark.md").write_text(to_markdown(found))
    draw_speed(found).savefig(folder / "benchmark.png", dpi=100)


def to_markdown(found: Benchmark) -> str:
    parts = [f"# {found.model['file']}: speed", to_table(found.measurements)]
    facts = {"Model": found.model, "Protocol": found.protocol, "Machine": found.machine, "Left out": found.left_out}
    for title, entries in facts.items():
        if entries:
            parts += [f"## {title}", "\n".join(f"- {name}: {value}" for name, value in entries.items())]
    return "\n\n".join(parts) + "\n"


def to_table(measurements: Sequence[Measurement]) -> str:
    """A Markdown table, aligned so that a terminal shows it well too."""
    rows = [COLUMNS, *map(_row, measurements)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _row(measurement: Measurement) -> Tuple[str, ...]:
    timings, whole = measurement.timings, measurement.whole
    network = timings.stages.get("network")
    return (
        size_text(measurement.frame_size),
        size_text(measurement.network_size),
        measurement.description,
        str(len(timings.whole)),
        f"{whole.median:.2f}",
        f"{whole.p90:.2f}",
        f"{whole.p99:.2f}",
        f"{whole.fps:.1f}",
        f"{Statistics.of(timings.without_copies).fps:.1f}" if timings.without_copies else "-",
        f"{Statistics.of(network).median:.2f}" if network else "-",
        ", ".join(f"{stage} {share:.0f} %" for stage, share in timings.shares.items()) or "-",
        f"{Statistics.of(timings.processor).median:.1f}",
        f"{measurement.ratio:.2f}",
    )


def draw_speed(found: Benchmark) -> Figure:
    """FPS by frame size: a panel per precision, as in Fig. 10, and a bar per engine."""
    from matplotlib.figure import Figure

    precisions = _unique(measurement.precision for measurement in found.measurements)
    runtimes = _unique(measurement.runtime for measurement in found.measurements)
    sizes = sorted(_unique(measurement.frame_size for measurement in found.measurements), key=math.prod)
    columns = min(2, len(precisions))
    rows = math.ceil(len(precisions) / columns)
    figure = Figure(figsize=(3 + max(4.5, 1.1 * len(sizes)) * columns, 0.8 + 4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    bars = {}
    for letter, precision, axes in zip("abcde", precisions, panels):
        here = [measurement for measurement in found.measurements if measurement.precision == precision]
        present = _unique(measurement.runtime for measurement in here)
        width = 0.8 / len(present)
        for place, runtime in enumerate(present):
            fps = {sizes.index(entry.frame_size): entry.whole.fps for entry in here if entry.runtime == runtime}
            left = [position + (place - (len(present) - 1) / 2) * width for position in fps]
            colour = f"C{runtimes.index(runtime)}"
            bars[runtime] = axes.bar(left, list(fps.values()), width, color=colour)
            labels = [f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in fps.values()]
            axes.bar_label(bars[runtime], labels, fontsize=8, padding=2)
        axes.set_title(f"({letter}) {precision.upper()}")
        axes.set_xticks(range(len(sizes)), [size_text(size) for size in sizes], rotation=30, ha="right")
        axes.set_ylabel("frames per second (1 / median)")
        axes.margins(y=0.12)
    for axes in panels[len(precisions) :]:
        axes.set_axis_off()
    figure.legend(list(bars.values()), list(bars), loc="outside right center")
    fewest = min(len(measurement.timings.whole) for measurement in found.measurements)
    hardware = ", ".join(found.machine[part] for part in ("CPU", "GPU") if part in found.machine)
    figure.suptitle(f"{found.model['file']} on {hardware}", fontsize=11)
    figure.supxlabel(
        "size of the frame; frame in host memory to labels in host memory, batch 1, at least "
        f"{fewest} frames each\nnetwork size: {found.protocol['network size'].split(';')[0]}; "
        f"load average before: {found.protocol['load average before']}",
        fontsize=8,
    )
    return figure


def size_text(size: Tuple[int, int]) -> str:
    """WIDTHxHEIGHT of (height, width)."""
    return f"{size[1]}x{size[0]}"


def _unique(values: Any) -> List[Any]:
    """In the order of their first appearance."""
    return list(dict.fromkeys(values))
