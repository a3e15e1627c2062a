"""Measures a scenario. The pipelines take turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, NamedTuple, Sequence

import numpy as np

from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.driver.interval import Interval
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.driver.node_process import SEGMENTATION_NODE

PROGRAMS = {
    "model": SEGMENTATION_NODE,
    "stub": ("-m", "bisenet_ros.node.benchmark.stub_engine"),
    "echo": ("-m", "bisenet_ros.node.benchmark.echo_pipeline"),
    "plain": ("-m", "bisenet_ros.node.benchmark.plain_pipeline"),
}
WARM_UP_RATE, WARM_UP_SECONDS = 5.0, 1.0
TURN_SECONDS = 4.0
SATURATION = 1.5
"""Frames sent per frame that the engine has time for, in the part "saturated"."""
HELD_SHARE = 0.9
"""Of the rate whose period the engine's 99th percentile just fits, in the part "held"."""
MAX_RATE = 400.0
"""Hz; no camera is faster."""


class Turn(NamedTuple):
    """One interval of one pipeline.

    Attributes:
        cpu_seconds: CPU time of "cameras", "listener" and the pipeline's process while the cameras sent.
        times: milliseconds that the node tells of its stages, such as engine_p50_ms; empty for other pipelines.
    """

    interval: Interval
    cpu_seconds: Dict[str, float]
    times: Dict[str, float]


@dataclass
class Part:
    """A pipeline at one rate.

    Attributes:
        name: "at rate", "saturated" or "held".
        rate: that each camera was told to send at, in Hz.
    """

    name: str
    pipeline: str
    rate: float
    turns: List[Turn] = field(default_factory=list)


@dataclass
class Measurement:
    """All parts, and what the node says of its engine."""

    scenario: Scenario
    rate: float
    parts: List[Part]
    engine: str


def measure(scenario: Scenario, pipelines: Sequence[str], *, rate: float, seconds: float) -> Measurement:
    """Measures all pipelines at a rate, then with cameras faster than the engine, then the node at a rate it holds.

    Args:
        pipelines: "node", and those to compare it with.
        rate: Hz of each camera.
        seconds: of each pipeline at that rate; the parts after the first take half of it.

    Raises:
        DriverError: a process failed.
    """
    with ExitStack() as stack:
        drivers = {pipeline: stack.enter_context(drive(scenario, pipeline)) for pipeline in pipelines}
        for driver in drivers.values():
            driver.warm_up(scenario.images(rate=WARM_UP_RATE, seconds=WARM_UP_SECONDS))
        parts = _take_turns("at rate", drivers, scenario, rate=rate, seconds=seconds)
        others = {pipeline: driver for pipeline, driver in drivers.items() if pipeline != "echo"}
        most = saturating_rate(engine_seconds(parts[0], percentile=50), cameras=scenario.cameras)
        saturated = _take_turns("saturated", others, scenario, rate=most, seconds=seconds / 2)
        parts += saturated
        if scenario.engine == "model":
            held = min(MAX_RATE, HELD_SHARE / (engine_seconds(saturated[0], percentile=99) * scenario.cameras))
            parts += _take_turns("held", {"node": drivers["node"]}, scenario, rate=held, seconds=seconds / 2)
        return Measurement(scenario, rate, parts, drivers["node"].diagnostics.engine)


def drive(scenario: Scenario, pipeline: str) -> NodeDriver:
    """A driver of one pipeline."""
    if pipeline == "node":
        arguments = scenario.node_arguments()
        return NodeDriver(arguments, topics=scenario.topics(pipeline), program=PROGRAMS[scenario.engine])
    return NodeDriver(
        [scenario.to_json()],
        topics=scenario.topics(pipeline),
        program=PROGRAMS[pipeline],
        has_diagnostics=False,
    )


def saturating_rate(engine_seconds: float, *, cameras: int) -> float:
    """Hz of each camera that are more than the engine can take."""
    return min(MAX_RATE, SATURATION / (engine_seconds * cameras))


def engine_seconds(part: Part, *, percentile: int) -> float:
    """The engine's time per frame by the node's diagnostics: its 50th or 99th percentile, the turns' median."""
    times = [turn.times[f"engine_p{percentile}_ms"] for turn in part.turns]
    return max(1e-9, float(np.median(times)) / 1000)


def _take_turns(
    name: str, drivers: Mapping[str, NodeDriver], scenario: Scenario, *, rate: float, seconds: float
) -> List[Part]:
    rounds = max(1, round(seconds / TURN_SECONDS))
    parts = {pipeline: Part(name, pipeline, rate) for pipeline in drivers}
    for i in range(rounds):
        print(f"{rate:.4g} Hz, round {i + 1} of {rounds}: {', '.join(drivers)}", file=sys.stderr)
        for pipeline, driver in drivers.items():
            turn = _take_turn(driver, scenario, pipeline, rate=rate, seconds=seconds / rounds)
            parts[pipeline].turns.append(turn)
    return list(parts.values())


def _take_turn(driver: NodeDriver, scenario: Scenario, pipeline: str, *, rate: float, seconds: float) -> Turn:
    before = _cpu_times(driver, pipeline)
    driver.start(scenario.images(rate=rate, seconds=seconds))
    driver.wait_for_cameras()
    used = {name: after - before[name] for name, after in _cpu_times(driver, pipeline).items()}
    interval = driver.finish()
    return Turn(interval, used, driver.diagnostics.milliseconds())


def _cpu_times(driver: NodeDriver, pipeline: str) -> Dict[str, float]:
    import psutil

    times = {"cameras": driver.cameras.pid, pipeline: driver.node.pid}
    used = {name: psutil.Process(pid).cpu_times() for name, pid in times.items()}
    return {**{name: time.user + time.system for name, time in used.items()}, "listener": time.process_time()}
