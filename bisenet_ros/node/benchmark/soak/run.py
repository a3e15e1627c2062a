"""`make soak`: the node at full rate for long, its memory and latency watched every second, ended by SIGINT."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Set

from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.goals import Goal
from bisenet_ros.node.benchmark.measurement import saturating_rate
from bisenet_ros.node.benchmark.node_account import difference
from bisenet_ros.node.benchmark.rig import Rig
from bisenet_ros.node.benchmark.setup import Setup
from bisenet_ros.node.benchmark.soak.sample import SHARED_MEMORY, Arrivals, Sample, mapped_files, take_sample
from bisenet_ros.node.benchmark.soak.verdict import judge_end, judge_latency, judge_memory, judge_wait

PERIOD = 1.0
FIRST_RATE, FIRST_SECONDS = 5.0, 3.0
"""A first look at the engine's time, from which the full rate follows."""
SPARE = 60.0
"""Seconds that the cameras would go on, so that SIGINT meets the node at work."""
ERROR_WORDS = ("Traceback", "[ERROR]", "[FATAL]")


@dataclass(frozen=True)
class Bounds:
    """Shares by which the last quarter may differ from the first."""

    memory: float = 0.02
    latency: float = 0.10


@dataclass(frozen=True)
class Soak:
    """What came of it."""

    setup: Setup
    rate: float
    samples: List[Sample]
    goals: List[Goal]

    @property
    def holds(self) -> bool:
        return all(goal.holds for goal in self.goals)


def soak(setup: Setup, *, seconds: float, bounds: Optional[Bounds] = None) -> Soak:
    """Runs the node with cameras that are faster than its engine.

    Raises:
        ProcessError: a process failed, or did not end.
    """
    bounds = bounds or Bounds()
    samples: List[Sample] = []
    files: Set[Path] = set()
    there_before = set(SHARED_MEMORY.iterdir())
    with Rig(setup, ["node"]) as rig:
        first = rig.run("node", rate=FIRST_RATE, seconds=FIRST_SECONDS)
        rate = saturating_rate([first], cameras=setup.cameras)
        segment = rig.start("node", rate=rate, seconds=seconds + SPARE)
        node, arrivals = rig.processes["node"], Arrivals(segment)
        start = time.monotonic()
        while (passed := time.monotonic() - start) < seconds:
            time.sleep(PERIOD - passed % PERIOD)
            rig.check()
            for process in rig.processes.values():
                files |= mapped_files(process.pid)
            times = difference({}, rig.statuses()).times
            samples.append(take_sample(node.pid, seconds=time.monotonic() - start, arrivals=arrivals, times=times))
        code = rig.interrupt("node")
        words = [line for line in node.lines if any(word in line for word in ERROR_WORDS)]
    leftovers = sorted(path.name for path in files - there_before if path.exists())
    goals = [
        judge_memory(samples, bound=bounds.memory),
        judge_latency(samples, bound=bounds.latency),
        judge_wait(samples, rate=rate),
        *judge_end(code=code, leftovers=leftovers, words=words),
    ]
    return Soak(setup=setup, rate=rate, samples=samples, goals=goals)


def write_soak(found: Soak, folder: Path, *, load: str) -> None:
    """Writes soak.json and soak.png."""
    from bisenet_ros.node.benchmark.soak.plot import draw_soak

    values: Dict[str, Any] = {
        "setup": {**asdict(found.setup), "rate": round(found.rate, 2)},
        "goals": [{**vars(goal), "verdict": goal.verdict} for goal in found.goals],
        "machine": {**describe_machine(), "load average before": load},
        "samples": [asdict(sample) for sample in found.samples],
    }
    (folder / "soak.json").write_text(json.dumps(values, indent=1, allow_nan=False) + "\n")
    size, minutes = size_text(found.setup.size), found.samples[-1].seconds / 60
    title = f"segmentation_node for {minutes:.1f} minutes, {size} frames at {found.rate:.1f} Hz"
    draw_soak(found.samples, found.goals, folder / "soak.png", title=title)
