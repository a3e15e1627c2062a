"""What is measured, in which order: pipelines take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Sequence

import numpy as np

from bisenet_ros.node.benchmark.rig import Rig
from bisenet_ros.node.benchmark.segment import Segment
from bisenet_ros.node.benchmark.setup import Setup

SEGMENT = 4.0
"""Seconds of a pipeline's turn."""
SATURATION = 1.5
"""Frames sent per frame that the engine has time for."""
HELD_SHARE = 0.9
"""Of the highest rate that the engine holds: that whose period its p99 just fits."""
MOST_RATE = 400.0
"""Hz; no camera is faster."""

Segments = Dict[str, List[Segment]]


@dataclass
class Measurement:
    """The segments of each part, by pipeline.

    Attributes:
        at_rate: at the rate asked for.
        saturated: with cameras that are faster than the engine.
        held: the node alone, at HELD_SHARE of the rate that the engine holds; empty with a stub, which has no limit.
    """

    setup: Setup
    rate: float
    at_rate: Segments
    saturated: Segments = field(default_factory=dict)
    held: List[Segment] = field(default_factory=list)


def measure(setup: Setup, pipelines: Sequence[str], *, rate: float, seconds: float) -> Measurement:
    """Measures; the parts after the first take half its time each.

    Args:
        pipelines: "node" and those to compare it with.
        rate: Hz, of each camera.
        seconds: of each pipeline at that rate.

    Raises:
        ProcessError: a process failed.
    """
    with Rig(setup, pipelines) as rig:
        found = Measurement(setup, rate, at_rate=_take_turns(rig, pipelines, rate=rate, seconds=seconds))
        most = saturating_rate(found.at_rate["node"], cameras=setup.cameras)
        compared = [pipeline for pipeline in pipelines if pipeline != "echo"]
        found.saturated = _take_turns(rig, compared, rate=most, seconds=seconds / 2)
        if setup.engine != "stub":
            rate = HELD_SHARE * held_rate(found.saturated["node"], cameras=setup.cameras)
            found.held = _take_turns(rig, ["node"], rate=rate, seconds=seconds / 2)["node"]
    return found


def saturating_rate(segments: Sequence[Segment], *, cameras: int) -> float:
    """Hz of each camera that are more than the engine can take."""
    return min(MOST_RATE, SATURATION / max(1e-9, engine_seconds(segments) * cameras))


def held_rate(segments: Sequence[Segment], *, cameras: int) -> float:
    """Hz of each camera at which 99 of 100 frames, of the node's last, take the engine less than their share of a
    period."""
    return 1 / max(1e-9, engine_seconds(segments, percentile=99) * cameras)


def engine_seconds(segments: Sequence[Segment], *, percentile: int = 50) -> float:
    """The engine's time per frame, as the node says, whose percentiles are 50 and 99; the segments' median."""
    key = f"engine_p{percentile}_ms"
    return median_of(segments, lambda segment: segment.node.times[key] / 1000 if segment.node else 0.0)


def median_of(segments: Sequence[Segment], value: Callable[[Segment], float]) -> float:
    return float(np.median([value(segment) for segment in segments]))


def _take_turns(rig: Rig, pipelines: Sequence[str], *, rate: float, seconds: float) -> Segments:
    rounds = max(1, round(seconds / SEGMENT))
    segments: Segments = {pipeline: [] for pipeline in pipelines}
    for turn in range(rounds):
        print(f"{rate:.4g} Hz, round {turn + 1} of {rounds}: {', '.join(pipelines)}", file=sys.stderr)
        for pipeline in pipelines:
            segments[pipeline].append(rig.run(pipeline, rate=rate, seconds=seconds / rounds))
    return segments
