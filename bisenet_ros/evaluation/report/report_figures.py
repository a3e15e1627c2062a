"""The reports' curves, as SVG that takes its ink from the page's style and so suits light and dark screens."""

from __future__ import annotations

import io
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bisenet_ros.evaluation.report.record_summary import Series
from bisenet_ros.model.class_map import ClassMap

INK = "#010203"
"""Stands for the page's ink until the SVG is written."""
SIZES = {"wide": (9.6, 2.5), "narrow": (4.3, 2.7)}
"""Inches; the page shows the one that suits its screen."""
CURVES = ("#3584c4", "#d9730d")
"""Seen on white and on black alike."""
MOST_AREAS = 20
"""Classes that have an area of their own; the rest share one."""
REST = "#999999"

Draw = Callable[[Axes], None]


class TimeAxis(NamedTuple):
    """Where the bins lie, and what that is."""

    places: np.ndarray
    label: str


def time_axis(stamps_ns: np.ndarray, *, frames: int, ordered: bool) -> TimeAxis:
    """Seconds since the first frame; the frames' numbers where the stamps are not in order."""
    if ordered:
        return TimeAxis((stamps_ns - stamps_ns[0]) / 1e9, "time since the first frame (s)")
    return TimeAxis(np.arange(len(stamps_ns)) * frames / len(stamps_ns), "frame (stamps go backwards)")


def draw_shares(axis: TimeAxis, shares: np.ndarray, labels: ClassMap, *, name: str) -> Dict[str, str]:
    """Stacked areas of bins x classes shares, the first class at the bottom; SVG by the names of `SIZES`."""
    order = np.sort(np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_AREAS])
    areas = [100 * shares[:, label] for label in order]
    colors = [_hex(labels[label].color) for label in order]
    if len(order) < len(labels):
        areas.append(100 - np.sum(areas, axis=0))
        colors.append(REST)

    def draw(axes: Axes) -> None:
        axes.stackplot(axis.places, areas, colors=colors, edgecolor=INK, linewidth=0.2)
        axes.set_ylim(0, 100)

    return _draw_both(name, draw, axis, unit="share of pixels (%)")


def draw_series(
    name: str, axis: TimeAxis, series: Sequence[Series], *, scale: float, unit: str, from_zero: bool = True
) -> Dict[str, str]:
    """Mean curves in bands from the lowest to the highest value; SVG by the names of `SIZES`."""

    def draw(axes: Axes) -> None:
        for curve, color in zip(series, CURVES):
            axes.fill_between(
                axis.places, scale * curve.lowest, scale * curve.highest, color=color, alpha=0.3, linewidth=0
            )
            axes.plot(axis.places, scale * curve.mean, color=color, linewidth=1.2, marker=_marker(curve))
        if from_zero:
            axes.set_ylim(bottom=0)

    return _draw_both(name, draw, axis, unit=unit)


def _marker(curve: Series) -> Optional[str]:
    """Points without a neighbor, as with sparse truth, would not be seen as a line."""
    known = np.isfinite(curve.mean)
    return "." if not (known[1:] & known[:-1]).any() else None


def _draw_both(name: str, draw: Draw, axis: TimeAxis, *, unit: str) -> Dict[str, str]:
    return {size: _draw(f"{name}-{size}", draw, axis, inches=SIZES[size], unit=unit) for size in SIZES}


def _draw(name: str, draw: Draw, axis: TimeAxis, *, inches: Tuple[float, float], unit: str) -> str:
    # Text stays text; the salt keeps the ids of one page's figures apart and the same every time.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9}):
        return _to_svg(_figure(draw, axis, inches=inches, unit=unit))


def _figure(draw: Draw, axis: TimeAxis, *, inches: Tuple[float, float], unit: str) -> Figure:
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_xlabel(axis.label, color=INK)
    axes.set_ylabel(unit, color=INK)
    if len(axis.places) > 1:
        axes.set_xlim(axis.places[0], axis.places[-1])
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return figure


def _to_svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = file.getvalue()
    return svg[svg.index("<svg") :].replace(INK, "currentColor")


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def class_key(labels: ClassMap, shares: np.ndarray) -> List[Dict[str, str]]:
    """Names and colors of the areas of `draw_shares`, for the page to put beside them."""
    order = np.sort(np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_AREAS])
    key = [{"name": labels[label].name, "color": _hex(labels[label].color)} for label in order]
    return [*key, {"name": "all others", "color": REST}] if len(order) < len(labels) else key
