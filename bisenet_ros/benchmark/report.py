"""The benchmark's numbers as a table, as JSON, and as a plot in the form of the paper's Fig. 10.

The table and the plot are made of what the JSON file has, so that a machine without matplotlib can leave them to
another: `python -m bisenet_ros.benchmark.report NUMBERS.json FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from bisenet_ros.benchmark.interleaved_timing import Statistics, Timings
from bisenet_ros.benchmark.markdown_table import markdown_table
from bisenet_ros.model.input_size import parse_size, size_text

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


def load_matplotlib() -> None:
    """Raises ValueError, with the command to install it, where it is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the plot needs the Python package {error.name!r}, which is not installed; install it with "
            "`pip install matplotlib`, or give --json FILE in place of -o, and draw it elsewhere with "
            "`python -m bisenet_ros.benchmark.report FILE FOLDER`"
        ) from None


def write_json(path: Path, numbers: Numbers) -> None:
    path.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n")


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes benchmark.json, benchmark.md and benchmark.png."""
    write_json(folder / "benchmark.json", numbers)
    (folder / "benchmark.md").write_text(to_markdown(numbers))
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


def draw_speed(numbers: Numbers) -> Figure:
    """FPS by frame size: a panel per precision, as in Fig. 10, and a bar per engine."""
    from matplotlib.figure import Figure

    measurements = numbers["measurements"]
    precisions, runtimes, sizes = (
        _unique(measurement[key] for measurement in measurements) for key in ("precision", "runtime", "frame_size")
    )
    sizes.sort(key=lambda size: math.prod(parse_size(size)))
    columns = min(2, len(precisions))
    rows = math.ceil(len(precisions) / columns)
    figure = Figure(figsize=(3 + max(4.5, 1.1 * len(sizes)) * columns, 0.8 + 4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    bars = {}
    for letter, precision, axes in zip("abcde", precisions, panels):
        here = [measurement for measurement in measurements if measurement["precision"] == precision]
        present = _unique(measurement["runtime"] for measurement in here)
        width = 0.8 / len(present)
        for place, runtime in enumerate(present):
            mine = [entry for entry in here if entry["runtime"] == runtime]
            fps = {sizes.index(entry["frame_size"]): entry["whole"]["fps"] for entry in mine}
            left = [position + (place - (len(present) - 1) / 2) * width for position in fps]
            color = f"C{runtimes.index(runtime)}"
            bars[runtime] = axes.bar(left, list(fps.values()), width, color=color)
            labels = [f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in fps.values()]
            axes.bar_label(bars[runtime], labels, fontsize=8, padding=2)
        axes.set_title(f"({letter}) {precision.upper()}")
        axes.set_xticks(range(len(sizes)), sizes, rotation=30, ha="right")
        axes.set_ylabel("frames per second (1 / median)")
        axes.margins(y=0.12)
    for axes in panels[len(precisions) :]:
        axes.set_axis_off()
    figure.legend(list(bars.values()), list(bars), loc="outside right center")
    fewest = min(measurement["frames"] for measurement in measurements)
    machine, protocol = numbers["machine"], numbers["protocol"]
    hardware = ", ".join(machine[part] for part in ("CPU", "GPU") if part in machine)
    figure.suptitle(f"{numbers['model']['file']} on {hardware}", fontsize=11)
    figure.supxlabel(
        "size of the frame; frame in host memory to labels in host memory, batch 1, at least "
        f"{fewest} frames each\nnetwork size: {protocol['network size'].split(';')[0]}; "
        f"load average before: {protocol['load average before']}",
        fontsize=8,
    )
    return figure


def _unique(values: Any) -> List[Any]:
    """In the order of their first appearance."""
    return list(dict.fromkeys(values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description="Draws the table and the plot of a file of `bisenet benchmark --json`."
    )
    parser.add_argument("numbers", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    write_report(asked.folder, json.loads(asked.numbers.read_text()))
