"""The latencies and frame rates of a measurement as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, List, Sequence, Tuple

import numpy as np

from bisenet_ros.node.benchmark.summary import Summary

COLORS = {"node": "C0", "echo": "C2", "plain": "C3"}
PERCENTAGES = np.array([0, 50, 75, 90, 99, 99.9])


def draw_latencies(summaries: Sequence[Summary], path: Path, *, rate: float, title: str, note: str) -> None:
    """Left: latency by the percentage of frames that were no slower; right: frame rates of the saturated pipelines.

    Args:
        rate: of the cameras in the part "at rate", in Hz.
        note: a line below the plots.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    _draw_curves(curves, [summary for summary in summaries if summary.part == "at rate" and summary.latencies])
    curves.set_title(f"latency at {rate:g} Hz")
    saturated = [summary for summary in summaries if summary.part == "saturated"]
    names = [summary.pipeline for summary in saturated]
    drawn = bars.bar(names, [s.frames_per_second for s in saturated], color=[COLORS[name] for name in names])
    bars.bar_label(drawn, fmt="%.1f", padding=2)
    bars.set_ylabel("frames per second")
    bars.set_title("cameras faster than the engine")
    bars.margins(y=0.12)
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(note, fontsize=8)
    figure.savefig(path, dpi=100)


def _draw_curves(axes: Any, summaries: List[Summary]) -> None:
    for summary in summaries:
        ordered = np.sort(summary.latencies)
        # 100 % lies at infinity: each step to the right has a tenth of the frames above it.
        above = 1 - np.arange(len(ordered)) / len(ordered)
        label = f"{summary.pipeline}, {summary.lost} of {summary.sent} lost"
        axes.step(1 / above, ordered, where="post", label=label, color=COLORS[summary.pipeline])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(1 / (1 - PERCENTAGES / 100), [f"{percentage:g} %" for percentage in PERCENTAGES])
    axes.minorticks_off()
    axes.set_yticks(*_round_ticks(axes.get_ylim()))
    axes.set_xlabel("percentage of the frames that were no slower")
    axes.set_ylabel("camera to listener, ms")
    axes.grid(alpha=0.3)
    if summaries:
        axes.legend()


def _round_ticks(limits: Tuple[float, float]) -> Tuple[List[float], List[str]]:
    """1, 2, 5, 10, ... within the limits, and their texts."""
    ticks = [factor * 10.0**power for power in range(-1, 5) for factor in (1, 2, 5)]
    inside = [tick for tick in ticks if limits[0] <= tick <= limits[1]]
    return inside, [f"{tick:g}" for tick in inside]
