# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reports' charts: SVG whose ink is the page's, so that it suits light and dark screens."""

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
"""Sizes of a chart in inches; the page shows the one that suits the screen."""
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


def time_axis(topic: TopicSummary, source: Source) -> Tuple[np.ndarray, str]:
    """Where the bins lie: in seconds, or by the frames' numbers where the stamps go backwards or stand still."""
    starts = bin_starts(topic.frames)
    stamps_ns = np.asarray(topic.stamps_ns)[starts]
    if not source.backwards and (len(starts) == 1 or stamps_ns[-1] > stamps_ns[0]):
        return (stamps_ns - stamps_ns[0]) / 1e9, "time since the first frame (s)"
    return starts, f"frame (stamps {'go backwards' if source.backwards else 'stand still'})"


def shares_chart(topic: TopicSummary, source: Source, classes: ClassMap) -> Chart:
    """Stacked areas of each class's share of the pixels, the first class at the bottom."""
    shares = Series(topic.shares).mean
    order = np.sort(np.argsort(-shares.mean(axis=0), kind="stable")[:MOST_AREAS])
    areas = [100 * shares[:, place] for place in order]
    key = [{"name": classes[place].name, "color": _hex(classes[place].color)} for place in order]
    if len(order) < len(classes):
        areas.append(100 - np.sum(areas, axis=0))
        key.append({"name": "all others", "color": REST})
    places, label = time_axis(topic, source)

    def draw(axes: Axes) -> None:
        axes.stackplot(places, areas, colors=[entry["color"] for entry in key], edgecolor=INK, linewidth=0.2)
        axes.set_ylim(0, 100)

    return {
        "title": "Classes over time",
        "key": key,
        "svg": _draw_both("".join(topic.key), draw, places, labels=(label, "share of pixels (%)")),
        "alt": "stacked areas: the share of every class over time",
        "caption": f"Share of the pixels that every class has.{_bins_in_words(topic)}",
    }


def series_chart(topic: TopicSummary, source: Source, curve: Curve, values: Sequence[ArrayLike]) -> Optional[Chart]:
    """Means in bands from the lowest to the highest value; None where a curve has no value.

    Args:
        values: of every frame; of two curves, which are called A and B.
    """
    series = [Series(curve.scale * np.asarray(numbers)) for numbers in values]
    if not all(np.isfinite(one.total_mean) for one in series):
        return None
    places, label = time_axis(topic, source)

    def draw(axes: Axes) -> None:
        for one, color in zip(series, CURVES):
            axes.fill_between(places, one.lowest, one.highest, color=color, alpha=0.3, linewidth=0)
            # Points without a neighbor, as with sparse ground truth, would not be seen as a line.
            known = np.isfinite(one.mean)
            marker = None if (known[1:] & known[:-1]).any() else "."
            axes.plot(places, one.mean, color=color, linewidth=1.2, marker=marker)
        if curve.from_zero:
            axes.set_ylim(bottom=0)

    return {
        "title": curve.title,
        "key": [{"name": name, "color": color} for name, color in zip("AB", CURVES)] if len(series) > 1 else [],
        "svg": _draw_both(" ".join((*topic.key, curve.title)), draw, places, labels=(label, curve.unit)),
        "alt": f"curve: {curve.unit} over time, on average {', '.join(f'{one.total_mean:.2f}' for one in series)}",
        "caption": f"{curve.caption}.{_bins_in_words(topic, bands='; bands go from lowest to highest')}",
    }


def _bins_in_words(topic: TopicSummary, *, bands: str = "") -> str:
    most = math.ceil(topic.frames / BINS)
    return f" Each point is the mean of up to {most} frames{bands}." if most > 1 else ""


def _draw_both(name: str, draw: Draw, places: np.ndarray, *, labels: Tuple[str, str]) -> Dict[str, str]:
    """The SVG of each of SIZES; text stays text."""
    found = {}
    for size, inches in SIZES.items():
        file = io.StringIO()
        # The salt keeps the ids of one page's figures apart and the same every time.
        with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"{name}-{size}", "font.size": 9}):
            figure = _figure(draw, places, inches=inches, labels=labels)
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        svg = file.getvalue()
        found[size] = svg[svg.index("<svg") :].replace(INK, "currentColor")
    return found


def _figure(draw: Draw, places: np.ndarray, *, inches: Tuple[float, float], labels: Tuple[str, str]) -> Figure:
    figure = Figure(figsize=inches, layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_xlabel(labels[0], color=INK)
    axes.set_ylabel(labels[1], color=INK)
    if len(places) > 1:
        axes.set_xlim(places[0], places[-1])
    axes.tick_params(colors=INK)
    axes.grid(color=INK, alpha=0.15, linewidth=0.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    return figure


def _hex(color: Sequence[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)
