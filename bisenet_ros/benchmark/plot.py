# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The plot of a benchmark, in the form of the paper's Fig. 10."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence

from bisenet_ros.model.input_size import parse_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_speed(numbers: Mapping[str, Any]) -> Figure:
    """FPS by frame size: a panel per precision, as in Fig. 10, and a bar per model and engine.

    Args:
        numbers: what `EngineBenchmark.run` returns.
    """
    from matplotlib.figure import Figure

    measurements = numbers["measurements"]
    precisions, sizes = (
        list(dict.fromkeys(entry[key] for entry in measurements)) for key in ("precision", "frame_size")
    )
    sizes.sort(key=lambda size: math.prod(parse_size(size)))
    colors = {series: f"C{i}" for i, series in enumerate(dict.fromkeys(map(_series, measurements)))}
    columns = min(2, len(precisions))
    rows = math.ceil(len(precisions) / columns)
    figure = Figure(figsize=(3 + max(4.5, 1.1 * len(sizes)) * columns, 0.8 + 4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    bars: Dict[str, Any] = {}
    for letter, precision, axes in zip("abcde", precisions, panels):
        here = [measurement for measurement in measurements if measurement["precision"] == precision]
        bars.update(_draw_panel(axes, here, sizes=sizes, colors=colors))
        axes.set_title(f"({letter}) {precision.upper()}")
    for axes in panels[len(precisions) :]:
        axes.set_axis_off()
    figure.legend(list(bars.values()), list(bars), loc="outside right center")
    machine, protocol = numbers["machine"], numbers["protocol"]
    hardware = ", ".join(machine[part] for part in ("CPU", "GPU") if part in machine)
    files = ", ".join(model["file"] for model in numbers["models"])
    figure.suptitle(f"{files} on {hardware}", fontsize=11)
    fewest = min(measurement["frames"] for measurement in measurements)
    figure.supxlabel(
        f"size of the frame; frame in host memory to mask in host memory, batch 1, at least {fewest} frames each\n"
        f"network size: {protocol['network size'].split(';')[0]}; "
        f"load average before: {protocol['load average before']}",
        fontsize=8,
    )
    return figure


def _draw_panel(
    axes: Axes, measurements: Sequence[Mapping[str, Any]], *, sizes: List[str], colors: Mapping[str, str]
) -> Dict[str, Any]:
    """Draws the bars of one precision; returns them by series."""
    present = list(dict.fromkeys(map(_series, measurements)))
    width = 0.8 / len(present)
    bars = {}
    for place, series in enumerate(present):
        mine = [entry for entry in measurements if _series(entry) == series]
        fps = {sizes.index(entry["frame_size"]): entry["whole"]["fps"] for entry in mine}
        left = [position + (place - (len(present) - 1) / 2) * width for position in fps]
        bars[series] = axes.bar(left, list(fps.values()), width, color=colors[series])
        texts = [f"{value:.0f}" if value >= 100 else f"{value:.1f}" for value in fps.values()]
        axes.bar_label(bars[series], texts, fontsize=8, padding=2)
    axes.set_xticks(range(len(sizes)), sizes, rotation=30, ha="right")
    axes.set_ylabel("frames per second (1 / median)")
    axes.margins(y=0.12)
    return bars


def _series(measurement: Mapping[str, Any]) -> str:
    return f"{measurement['model']}, {measurement['runtime']}"
