"""The latencies as one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.report import Report

COLORS = {"node": "C0", "echo": "C2", "plain": "C3"}
SHARES = np.array([0, 50, 75, 90, 99, 99.9])


def draw_latencies(report: Report, path: Path) -> None:
    """The latency at the rate asked for, by the share of frames that were no slower, and the frame rates reached."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    for part in report.parts:
        summary = part.summary
        if part.name != "at rate" or not summary.latencies:
            continue
        ordered = np.sort(summary.latencies)
        # 100 % lies at infinity: each step to the right has a tenth of the frames above it.
        above = 1 - np.arange(len(ordered)) / len(ordered)
        label = f"{summary.pipeline}, {summary.lost} of {summary.sent} lost"
        curves.step(1 / above, ordered, where="post", label=label, color=COLORS[summary.pipeline])
    curves.set_xscale("log")
    curves.set_yscale("log")
    curves.set_xticks(1 / (1 - SHARES / 100), [f"{share:g} %" for share in SHARES])
    curves.minorticks_off()
    curves.set_yticks(*_round_ticks(curves.get_ylim()))
    curves.set_xlabel("share of the frames whose answer came no later")
    curves.set_ylabel("camera to listener, ms")
    curves.set_title(f"latency at {report.measurement.rate:g} Hz")
    curves.grid(alpha=0.3)
    curves.legend()
    saturated = [part.summary for part in report.parts if part.name == "saturated"]
    names = [summary.pipeline for summary in saturated]
    drawn = bars.bar(names, [s.frames_per_second for s in saturated], color=[COLORS[name] for name in names])
    bars.bar_label(drawn, fmt="%.1f", padding=2)
    bars.set_ylabel("frames per second")
    bars.set_title("cameras faster than the engine")
    bars.margins(y=0.12)
    setup = report.measurement.setup
    hardware = ", ".join(report.machine[part] for part in ("CPU", "cores") if part in report.machine)
    figure.suptitle(
        f"segmentation_node, {size_text(setup.size)} {setup.encoding}, {report.engine}; {hardware}", fontsize=11
    )
    figure.supxlabel(f"load average before: {report.protocol['load average before']}", fontsize=8)
    figure.savefig(path, dpi=100)


def _round_ticks(limits: tuple) -> tuple:
    """1, 2, 5, 10, ... within the limits, and their texts."""
    ticks = [factor * 10.0**power for power in range(-1, 5) for factor in (1, 2, 5)]
    inside = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    return inside, [f"{tick:g}" for tick in inside]
