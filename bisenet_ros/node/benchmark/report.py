# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A measurement of the node as JSON, as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, Optional, Sequence

import numpy as np

from bisenet_ros.benchmark.markdown import markdown_table
from bisenet_ros.files.atomic_write import write_figure, write_json, write_text
from bisenet_ros.node.benchmark.part import Numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FILES = ("node_benchmark.json", "node_benchmark.md", "node_benchmark.png")
COLUMNS = (
    *("size", "pipeline", "part", "Hz sent", "sent", "lost", "where", "p50 ms", "p99", "max", "FPS", "CPU ms/frame"),
    *("cores: cameras", "pipeline ", "listener"),
)
ALONE_COLUMNS = ("size", "engine alone, FPS", "saturated node, FPS", "kept")
OUTPUT_COLUMNS = ("size", "pipeline", "part", "topic", "FPS", "p50 ms", "p99", "max")
COLORS = {"node": "C0", "echo": "C2", "plain": "C3", "engine alone": "C7"}


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes node_benchmark.json, node_benchmark.md and node_benchmark.png from what `measure` returns."""
    write_json(folder / "node_benchmark.json", numbers)
    write_text(folder / "node_benchmark.md", to_markdown(numbers))
    write_figure(folder / "node_benchmark.png", draw_latencies(numbers), dpi=100)


def to_markdown(numbers: Numbers) -> str:
    setup, parts = numbers["setup"], numbers["parts"]
    texts = [
        f"# segmentation_node at {setup['rate']:g} Hz",
        f"{setup['model']}; {setup['engine_used']}; topics: {', '.join(setup['outputs'])}",
        markdown_table([COLUMNS, *map(_row, parts)]),
    ]
    if numbers["engine_alone"]:
        texts += [
            "## The node's frame rate beside its engine's",
            markdown_table([ALONE_COLUMNS, *_alone_rows(numbers)]),
        ]
    if len(setup["outputs"]) > 1:
        texts += [
            "## By topic",
            markdown_table([OUTPUT_COLUMNS, *(row for part in parts for row in _output_rows(part))]),
        ]
    times = [row for part in parts for row in _time_rows(part)]
    texts += ["## Inside the node", markdown_table([("size", "part", "stage", "p50 ms", "p99"), *times])]
    for title in ("protocol", "machine"):
        facts = (f"- {name}: {value}" for name, value in numbers[title].items())
        texts += [f"## {title.capitalize()}", "\n".join(facts)]
    return "\n\n".join(texts) + "\n"


def _alone_rows(numbers: Numbers) -> Iterator[Sequence[str]]:
    for part in numbers["parts"]:
        if (part["part"], part["pipeline"]) == ("saturated", "node"):
            alone, node = numbers["engine_alone"][part["size"]], part["frames_per_second"]
            yield part["size"], f"{alone:.1f}", f"{node:.1f}", f"{100 * node / alone:.0f} %"


def _output_rows(part: Numbers) -> Iterator[Sequence[str]]:
    for output, latency in part["outputs"].items():
        rate = part["outputs_per_second"][output]
        yield (part["size"], part["pipeline"], part["part"], output, f"{rate:.1f}", *_latency_cells(latency))


def _row(part: Numbers) -> List[str]:
    where = ", ".join(f"{count} {place}" for place, count in part["lost_where"].items())
    return [
        *(part["size"], part["pipeline"], part["part"], f"{part['rate']:.1f}", str(part["sent"]), str(part["lost"])),
        where or "-",
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
        (part["size"], part["part"], stage, f"{times[f'{stage}_p50_ms']:.1f}", f"{times[f'{stage}_p99_ms']:.1f}")
        for stage in stages
    ]


def draw_latencies(numbers: Numbers) -> Figure:
    """A row per size. Left: how many frames took longer than a latency; right: saturated frame rates."""
    from matplotlib.figure import Figure

    setup, machine = numbers["setup"], numbers["machine"]
    sizes = list(dict.fromkeys(part["size"] for part in numbers["parts"]))
    figure = Figure(figsize=(11, 0.5 + 4 * len(sizes)), layout="constrained")
    rows = figure.subplots(len(sizes), 2, width_ratios=(2, 1), squeeze=False)
    for size, (curves, bars) in zip(sizes, rows):
        parts = [part for part in numbers["parts"] if part["size"] == size]
        _draw_curves(curves, [part for part in parts if part["part"] == "at rate" and part["latencies"]])
        curves.set_title(f"{size}: latency at {setup['rate']:g} Hz")
        _draw_rates(bars, [part for part in parts if part["part"] == "saturated"], numbers["engine_alone"].get(size))
    hardware = f"{machine['CPU']}, {machine['cores']}"
    figure.suptitle(f"segmentation_node, {setup['encoding']}, {setup['engine_used']}; {hardware}", fontsize=11)
    figure.supxlabel(f"load average before: {numbers['protocol']['load average before']}", fontsize=8)
    return figure


def _draw_rates(axes: Axes, saturated: List[Numbers], engine_alone: Optional[float]) -> None:
    rates = {part["pipeline"]: part["frames_per_second"] for part in saturated}
    if engine_alone:
        rates["engine alone"] = engine_alone
    axes.bar_label(
        axes.bar(list(rates), list(rates.values()), color=[COLORS[name] for name in rates]), fmt="%.1f", padding=2
    )
    axes.set(title="cameras faster than the engine", ylabel="frames per second")
    axes.margins(y=0.12)


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
