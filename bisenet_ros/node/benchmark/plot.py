"""The latencies and frame rates of a measurement as one picture."""

from __future__ import annotations

from typing import List

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.part import Numbers

COLORS = {"node": "C0", "echo": "C2", "plain": "C3"}
PERCENTAGES = np.array([0, 50, 75, 90, 99, 99.9])


def draw_latencies(numbers: Numbers) -> Figure:
    """Left: latency by the percentage of frames that were no slower; right: frame rates of the saturated pipelines.

    Args:
        numbers: what `measure` returns.
    """
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
    for part in parts:
        ordered = np.sort(part["latencies"])
        # 100 % lies at infinity: each step to the right has a tenth of the frames above it.
        above = 1 - np.arange(len(ordered)) / len(ordered)
        label = f"{part['pipeline']}, {part['lost']} of {part['sent']} lost"
        axes.step(1 / above, ordered, where="post", label=label, color=COLORS[part["pipeline"]])
    axes.set(xscale="log", xlabel="percentage of the frames that were no slower")
    axes.set(yscale="log", ylabel="camera to listener, ms")
    axes.set_xticks(1 / (1 - PERCENTAGES / 100), [f"{percentage:g} %" for percentage in PERCENTAGES])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    if parts:
        axes.legend()
