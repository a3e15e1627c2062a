"""The reports' charts: SVG whose ink is the page's, so that it suits light and dark screens."""

from __future__ import annotations

import io
import math
from typing import Any, Callable, Dict, NamedTuple, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from bisenet_ros.evaluation.report.record_summary import BINS, Series, TopicSummary, bin_starts
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


class Curve(NamedTuple):
    """What a chart of values over time shows; `scale` brings them to the unit."""

    title: str
    unit: str
    caption: str
    scale: float = 100
    from_zero: bool = False


CONSISTENCY = Curve(
    "Temporal consistency", "consistent pixels (%)", "Pixels that keep their class while the picture only moves"
)
CONFIDENCE = Curve("Confidence", "mean confidence (%)", "Mean over the pixels of each frame")
ENGINE_TIME = Curve("Engine time", "engine (ms per frame)", "From a frame's pixels to its mask", 1, from_zero=True)
AGREEMENT = Curve("Agreement", "agreeing pixels (%)", "Pixels that have the same class in A and B")


class TimeAxis(NamedTuple):
    """Where the bins lie, and what that is."""

    places: np.ndarray
    label: str


def time_axis(topic: TopicSummary, source: Source) -> TimeAxis:
    """Seconds since the first frame; the frames' numbers where the stamps go backwards or stand still."""
    starts = bin_starts(topic.frames)
    stamps_ns = np.asarray(topic.stamps_ns)[starts]
    if not source.backwards and (len(starts) == 1 or stamps_ns[-1] > stamps_ns[0]):
        return TimeAxis((stamps_ns - stamps_ns[0]) / 1e9, "time since the first frame (s)")
    return TimeAxis(starts, f"frame (stamps {'go backwards' if source.backwards else 'stand still'})")


def shares_chart(topic: TopicSummary, source: Source, classes: ClassMap) -> Chart:
    """Stacked areas of each class's share of the pixels, the first class at the bottom."""
    shares = topic.shares
    order = np.sort(np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_AREAS])
    areas = [100 * shares[:, place] for place in order]
    key = [{"name": classes[place].name, "color": _hex(classes[place].color)} for place in order]
    if len(order) < len(classes):
        areas.append(100 - np.sum(areas, axis=0))
        key.append({"name": "all others", "color": REST})
    axis = time_axis(topic, source)

    def draw(axes: Axes) -> None:
        axes.stackplot(axis.places, areas, colors=[entry["color"] for entry in key], edgecolor=INK, linewidth=0.2)
        axes.set_ylim(0, 100)

    return {
        "title": "Classes over time",
        "key": key,
        "svg": _draw_both("".join(topic.key), draw, axis, unit="share of pixels (%)"),
        "alt": "stacked areas: the share of every class over time",
        "caption": f"Share of the pixels that every class has.{_bins_in_words(topic)}",
    }


def series_chart(topic: TopicSummary, source: Source, curve: Curve, values: Sequence[ArrayLike]) -> Optional[Chart]:
    """Means in bands from the lowest to the highest value; None where a curve has no value.

    Args:
        values: of every frame; of two curves, which are called A and B.
    """
    series = [Series(curve.scale * np.asarray(numbers)) for numbers in values]
    if not all(series):
        return None
    axis = time_axis(topic, source)

    def draw(axes: Axes) -> None:
        for one, color in zip(series, CURVES):
            axes.fill_between(axis.places, one.lowest, one.highest, color=color, alpha=0.3, linewidth=0)
            axes.plot(axis.places, one.mean, color=color, linewidth=1.2, marker=_marker(one))
        if curve.from_zero:
            axes.set_ylim(bottom=0)

    return {
        "title": curve.title,
        "key": [{"name": name, "color": color} for name, color in zip("AB", CURVES)] if len(series) > 1 else [],
        "svg": _draw_both(" ".join((*topic.key, curve.title)), draw, axis, unit=curve.unit),
        "alt": f"curve: {curve.unit} over time, on average {', '.join(f'{one.total_mean:.2f}' for one in series)}",
        "caption": f"{curve.caption}.{_bins_in_words(topic)}",
    }


def _bins_in_words(topic: TopicSummary) -> str:
    most = math.ceil(topic.frames / BINS)
    return f" Each point is the mean of up to {most} frames; bands go from lowest to highest." if most > 1 else ""


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
