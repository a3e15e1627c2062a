"""The reports' charts: SVG whose ink is the page's, so that it suits light and dark screens."""

from __future__ import annotations

import io
import math
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bisenet_ros.evaluation.report.record_summary import Series, TopicSummary
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.model.class_map import ClassMap

INK = "#010203"
"""A placeholder for the page's ink until the SVG is written."""
SIZES = {"wide": (9.6, 2.5), "narrow": (4.3, 2.7)}
"""Inches; the page shows the one that suits the screen."""
CURVES = ("#3584c4", "#d9730d")
"""Colors of curves, seen on white and on black alike."""
MOST_AREAS = 20
"""Classes with an area of their own; the others share one."""
REST = "#999999"
"""The color of the others."""

Draw = Callable[[Axes], None]
Chart = Dict[str, Any]
"""What the template's macro `chart` takes."""


class TimeAxis(NamedTuple):
    """Where the bins lie, and what that is."""

    places: np.ndarray
    label: str


def time_axis(stamps_ns: np.ndarray, *, frames: int, ordered: bool) -> TimeAxis:
    """Seconds since the first frame; the frames' numbers where the stamps go backwards or stand still."""
    if ordered and (len(stamps_ns) == 1 or stamps_ns[-1] > stamps_ns[0]):
        return TimeAxis((stamps_ns - stamps_ns[0]) / 1e9, "time since the first frame (s)")
    reason = "stand still" if ordered else "go backwards"
    return TimeAxis(np.arange(len(stamps_ns)) * frames / len(stamps_ns), f"frame (stamps {reason})")


def topic_axis(topic: TopicSummary, source: Source) -> TimeAxis:
    """The axis of a topic's charts."""
    return time_axis(topic.stamps_ns, frames=topic.frames, ordered=not source.backwards)


def shares_chart(axis: TimeAxis, topic: TopicSummary, classes: ClassMap) -> Chart:
    """Stacked areas of each class's share of the pixels, the first class at the bottom."""
    shares = topic.shares
    order = np.sort(np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_AREAS])
    areas = [100 * shares[:, place] for place in order]
    key = [{"name": classes[place].name, "color": _hex(classes[place].color)} for place in order]
    if len(order) < len(classes):
        areas.append(100 - np.sum(areas, axis=0))
        key.append({"name": "all others", "color": REST})

    def draw(axes: Axes) -> None:
        axes.stackplot(axis.places, areas, colors=[entry["color"] for entry in key], edgecolor=INK, linewidth=0.2)
        axes.set_ylim(0, 100)

    per_point = frames_per_point(topic)
    return {
        "title": "Classes over time",
        "key": key,
        "svg": _draw_both(f"{topic.bag}{topic.topic}", draw, axis, unit="share of pixels (%)"),
        "alt": "stacked areas: the share of every class over time",
        "caption": "Share of the pixels that every class has."
        + f" Each point is the mean of up to {per_point} frames." * (per_point > 1),
    }


def series_chart(
    topic: TopicSummary,
    axis: TimeAxis,
    series: Sequence[Series],
    *,
    title: str,
    unit: str,
    caption: str,
    scale: float = 100,
    from_zero: bool = True,
) -> Chart:
    """Mean curves in bands from the lowest to the highest value; two are called A and B."""

    def draw(axes: Axes) -> None:
        for curve, color in zip(series, CURVES):
            axes.fill_between(
                axis.places, scale * curve.lowest, scale * curve.highest, color=color, alpha=0.3, linewidth=0
            )
            axes.plot(axis.places, scale * curve.mean, color=color, linewidth=1.2, marker=_marker(curve))
        if from_zero:
            axes.set_ylim(bottom=0)

    per_point = frames_per_point(topic)
    band = f" Each point has up to {per_point} frames: their mean, and a band from lowest to highest." * (per_point > 1)
    means = ", ".join(f"{scale * (curve.total_mean or 0):.2f}" for curve in series)
    return {
        "title": title,
        "key": [{"name": name, "color": color} for name, color in zip("AB", CURVES)] if len(series) > 1 else [],
        "svg": _draw_both(f"{topic.bag}{topic.topic} {title}", draw, axis, unit=unit),
        "alt": f"curve: {unit} over time, on average {means}",
        "caption": f"{caption}.{band}",
    }


def frames_per_point(topic: TopicSummary) -> int:
    return math.ceil(topic.frames / len(topic.stamps_ns))


def _marker(curve: Series) -> Optional[str]:
    """Points without a neighbor, as with sparse ground truth, would not be seen as a line."""
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
