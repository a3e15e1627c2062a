# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measures a scenario. The pipelines take turns, so that a busy machine slows all of them alike."""

import math
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import psutil

from bisenet_ros.benchmark.machine import describe_load, describe_machine
from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.engine_alone import EngineAlone
from bisenet_ros.node.benchmark.part import SKIPPED_SECONDS, Numbers, Part, Turn
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.driver.node_process import SEGMENTATION_NODE
from bisenet_ros.node.frame_statistics import WINDOW

NODE_PROGRAMS = {"model": SEGMENTATION_NODE, "stub": ("-m", "bisenet_ros.node.benchmark.stub_engine")}
REFERENCE_NODE = ("-m", "bisenet_ros.node.benchmark.reference_node")
WARM_UP_RATE, WARM_UP_SECONDS = 5.0, 1.0
TURN_SECONDS = 4.0
SATURATION = 1.5
"""Frames sent per frame that the engine has time for, in the part "saturated"."""
HELD_SHARE = 0.9
"""Of the rate whose period the engine's 99th percentile just fits, in the part "held"."""
MAX_RATE = 400.0
"""Hz; no camera is faster."""


def measure(scenarios: Sequence[Scenario], pipelines: Sequence[str], *, rate: float, seconds: float) -> Numbers:
    """Measures all pipelines at a rate, then with cameras faster than the engine, then the node at a rate it holds.

    Raises DriverError if a process fails.

    Args:
        scenarios: those of several image sizes, otherwise alike.
        pipelines: "node", and those to compare it with.
        rate: Hz of each camera.
        seconds: of each pipeline at that rate; the parts after the first take half of it.

    Returns:
        What node_benchmark.json has: setup, parts (see `Part.to_dict`), engine_alone, protocol, machine.
    """
    load = describe_load(os.getloadavg()[0], cores=usable_cores())
    parts: List[Part] = []
    engine_alone: Dict[str, float] = {}
    for scenario in scenarios:
        found, frames_per_second, engine = _measure_size(scenario, pipelines, rate=rate, seconds=seconds)
        parts += found
        if frames_per_second:
            engine_alone[size_text(scenario.size)] = round(frames_per_second, 2)
    setup = {**asdict(scenarios[0]), "model": Path(scenarios[0].model).name, "rate": rate, "engine_used": engine}
    del setup["size"]
    return {
        "setup": setup,
        "parts": [part.to_dict() for part in parts],
        "engine_alone": engine_alone,
        "protocol": {**describe_protocol(scenarios), "load average before": load},
        "machine": describe_machine(),
    }


def _measure_size(
    scenario: Scenario, pipelines: Sequence[str], *, rate: float, seconds: float
) -> Tuple[List[Part], float, str]:
    """The parts, the engine's own frames per second (0 for the stub), and what the node says of its engine."""
    has_engine = scenario.engine == "model"
    with ExitStack() as stack:
        drivers = {pipeline: stack.enter_context(drive(scenario, pipeline)) for pipeline in pipelines}
        for driver in drivers.values():
            driver.warm_up(scenario.images(rate=WARM_UP_RATE, seconds=WARM_UP_SECONDS))
        alone = stack.enter_context(EngineAlone(scenario)) if has_engine else None
        parts = _take_turns("at rate", drivers, scenario, rate=rate, seconds=seconds)
        others = {pipeline: driver for pipeline, driver in drivers.items() if pipeline != "echo"}
        batches = math.ceil(scenario.cameras / (alone.batch if alone else 1))
        # The node's own times are longer beside cameras that take the cores from it.
        engine_ms = 1000 * alone.batch / alone.measure(WARM_UP_SECONDS) if alone else parts[0].times()["engine_p50_ms"]
        most = saturating_rate(engine_ms, batches=batches)
        saturated = _take_turns("saturated", others, scenario, rate=most, seconds=seconds / 2, alone=alone)
        parts += saturated
        if has_engine:
            held = min(MAX_RATE, HELD_SHARE / (saturated[0].times()["engine_p99_ms"] / 1000 * batches))
            parts += _take_turns("held", {"node": drivers["node"]}, scenario, rate=held, seconds=seconds / 2)
        return parts, alone.frames_per_second if alone else 0.0, drivers["node"].diagnostics.engine


def drive(scenario: Scenario, pipeline: str) -> NodeDriver:
    """A driver of one pipeline."""
    topics = scenario.topics(pipeline)
    if pipeline != "node":
        arguments = [pipeline, scenario.to_json()]
        return NodeDriver(arguments, topics=topics, program=REFERENCE_NODE, has_diagnostics=False)
    parameters = {name: getattr(scenario, name) for name in ("model", "device", "precision", "network_size")}
    arguments = topics.node_arguments(**parameters, diagnostics_rate=4.0)
    return NodeDriver(arguments, topics=topics, program=NODE_PROGRAMS[scenario.engine])


def saturating_rate(engine_ms: float, *, batches: int) -> float:
    """Hz of each camera that are more than the engine can take.

    Args:
        engine_ms: milliseconds that the engine takes for one batch.
        batches: that the engine takes the frames of all cameras in.
    """
    engine_seconds = max(1e-9, engine_ms / 1000)
    return min(MAX_RATE, SATURATION / (engine_seconds * batches))


def _take_turns(
    name: str,
    drivers: Mapping[str, NodeDriver],
    scenario: Scenario,
    *,
    rate: float,
    seconds: float,
    alone: Optional[EngineAlone] = None,
) -> List[Part]:
    rounds = max(1, round(seconds / TURN_SECONDS))
    parts = {pipeline: Part(name, pipeline, scenario.size, rate) for pipeline in drivers}
    for i in range(rounds):
        print(f"{rate:.4g} Hz, round {i + 1} of {rounds}: {', '.join(drivers)}", file=sys.stderr)
        for pipeline, driver in drivers.items():
            turn = _take_turn(driver, scenario, pipeline, rate=rate, seconds=seconds / rounds)
            parts[pipeline].turns.append(turn)
        if alone:
            alone.take_turn(seconds / rounds)
    return list(parts.values())


def _take_turn(driver: NodeDriver, scenario: Scenario, pipeline: str, *, rate: float, seconds: float) -> Turn:
    pids = {"cameras": driver.cameras.pid, pipeline: driver.node.pid, "listener": os.getpid()}
    before, start = _cpu_seconds(pids), time.monotonic()
    driver.start(scenario.images(rate=rate, seconds=seconds))
    driver.wait_for_cameras()
    passed = time.monotonic() - start
    used = {name: after - before[name] for name, after in _cpu_seconds(pids).items()}
    return Turn(driver.finish(), passed, used, driver.diagnostics.milliseconds())


def _cpu_seconds(pids: Mapping[str, int]) -> Dict[str, float]:
    return {name: sum(psutil.Process(pid).cpu_times()[:2]) for name, pid in pids.items()}  # user and system


def describe_protocol(scenarios: Sequence[Scenario]) -> Dict[str, str]:
    """What every number of this run means."""
    scenario = scenarios[0]
    sizes = ", then ".join(size_text(scenario.size) for scenario in scenarios)
    return {
        "cameras": f"{scenario.cameras}, {sizes}, {scenario.encoding}, triggered together, "
        f"{scenario.reliability.replace('_', ' ')}; in a process that does nothing else",
        "topics": ", ".join(scenario.outputs),
        "transport": "Fast DDS with this package's shared-memory profile, this machine only; each pipeline has a ROS "
        "domain, cameras and a listener of its own",
        "latency": "from the camera's publish call to the listener's callback, one monotonic clock; of the mask, or of "
        f"the echo's image; the first {SKIPPED_SECONDS:g} s of a turn do not count",
        "lost": "sent without an answer; to_the_node and from_the_node are DDS, the others the node's own reasons",
        "order": f"the pipelines take turns of {TURN_SECONDS:g} s; the cameras of the others are silent meanwhile",
        "saturated": f"cameras {SATURATION:g} x as fast as the engine; FPS: the turns' median",
        "engine alone": "the node's engine in a loop, in turns with the saturated pipelines, without the cameras and "
        "listeners that share the cores with the node; with the confidence if that is listened to; frames by time",
        "held": f"cameras at {100 * HELD_SHARE:.0f} % of the rate whose period the engine's p99 when saturated just "
        "fits",
        "echo": "a bare rclpy node that publishes the received image again",
        "plain": "a pipeline as commonly written: float conversion of the full frame in NumPy, the logits resized "
        "to the frame inside the graph, argmax in NumPy, in the callback; same model, network size, runtime, precision",
        "inside the node": f"its diagnostics, over the last {WINDOW:g} s of a turn; the turns' median",
        "cores": "CPU time of the process by time passed; CPU ms/frame: that of the pipeline's process by answer",
    }
