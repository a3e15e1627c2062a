# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A measurement of the node as JSON, as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence

import numpy as np

from bisenet_ros.benchmark.markdown import markdown_table
from bisenet_ros.files.atomic_write import write_json, write_text
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.part import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    *("pipeline", "part", "Hz sent", "sent", "lost", "where", "p50 ms", "p99", "max", "FPS", "CPU ms/frame"),
    *("cores: cameras", "pipeline ", "listener"),
)
COLORS = {"node": "C0", "echo": "C2", "plain": "C3"}


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes node_benchmark.json, node_benchmark.md and node_benchmark.png from what `measure` returns."""
    write_json(folder / "node_benchmark.json", numbers)
    write_text(folder / "node_benchmark.md", to_markdown(numbers))
    draw_latencies(numbers).savefig(folder / "node_benchmark.png", dpi=100)


def to_markdown(numbers: Numbers) -> str:
    setup, parts = numbers["setup"], numbers["parts"]
    texts = [
        f"# segmentation_node: {size_text(setup['size'])} at {setup['rate']:g} Hz",
        f"{setup['model']}; {setup['engine_used']}",
        markdown_table([COLUMNS, *map(_row, parts)]),
    ]
    if len(setup["outputs"]) > 1:
        outputs = [
            (part["pipeline"], output, *_latency_cells(latency))
            for part in parts
            if part["part"] == "at rate"
            for output, latency in part["outputs"].items()
        ]
        texts += ["## By topic", markdown_table([("pipeline", "topic", "p50 ms", "p99", "max"), *outputs])]
    times = [row for part in parts for row in _time_rows(part)]
    texts += ["## Inside the node", markdown_table([("part", "stage", "p50 ms", "p99"), *times])]
    for title in ("protocol", "machine"):
        facts = (f"- {name}: {value}" for name, value in numbers[title].items())
        texts += [f"## {title.capitalize()}", "\n".join(facts)]
    return "\n\n".join(texts) + "\n"


def _row(part: Numbers) -> List[str]:
    where = ", ".join(f"{count} {place}" for place, count in part["lost_where"].items())
    return [
        *(part["pipeline"], part["part"], f"{part['rate']:.1f}", str(part["sent"]), str(part["lost"]), where or "-"),
        *_latency_cells(part["latency"]),
        *(f"{part['frames_per_second']:.1f}", f"{part['processor_ms']:.1f}"),
        *(f"{part['cores'][name]:.2f}" for name in ("cameras", part["pipeline"], "listener")),
    ]


def _latency_cells(latency: Optional[Dict[str, float]]) -> List[str]:
    return [f"{latency[key]:.1f}" if latency else "-" for key in ("p50", "p99", "max")]


def _time_rows(part: Numbers) -> List[Sequence[str]]:
    times = part["times"]
    stages = [name[: -len("_p50_ms")] for name in times if name.endswith("_p50_ms")]
    return [
        (part["part"], stage, f"{times[f'{stage}_p50_ms']:.2f}", f"{times[f'{stage}_p99_ms']:.2f}") for stage in stages
    ]


def draw_latencies(numbers: Numbers) -> Figure:
    """Left: how many frames took longer than a latency; right: frame rates of the saturated pipelines."""
    from matplotlib.figure import Figure

    setup, machine = numbers["setup"], numbers["machine"]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw_curves(curves, [part for part in numbers["parts"] if part["part"] == "at rate" and part["latencies"]])
    curves.set_title(f"latency at {setup['rate']:g} Hz")
    saturated = {part["pipeline"]: part for part in numbers["parts"] if part["part"] == "saturated"}
    rates = [part["frames_per_second"] for part in saturated.values()]
    bars.bar_label(bars.bar(list(saturated), rates, color=[COLORS[name] for name in saturated]), fmt="%.1f", padding=2)
    bars.set(title="cameras faster than the engine", ylabel="frames per second")
    bars.margins(y=0.12)
    frames = f"{size_text(setup['size'])} {setup['encoding']}"
    hardware = f"{machine['CPU']}, {machine['cores']}"
    figure.suptitle(f"segmentation_node, {frames}, {setup['engine_used']}; {hardware}", fontsize=11)
    figure.supxlabel(f"load average before: {numbers['protocol']['load average before']}", fontsize=8)
    return figure


def _draw_curves(axes: Axes, parts: List[Numbers]) -> None:
    """The complementary cumulative distributions."""
    for part in parts:
        latencies = np.sort(part["latencies"])
        slower = 100 * (1 - np.arange(len(latencies)) / len(latencies))
        label = f"{part['pipeline']}, {part['lost']} of {part['sent']} lost"
        axes.step(latencies, slower, where="pre", label=label, color=COLORS[part["pipeline"]])
    axes.set(xscale="log", xlabel="camera to listener, ms", yscale="log", ylabel="% of the frames took longer")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
    axes.grid(alpha=0.3)
    if parts:
        axes.legend()
