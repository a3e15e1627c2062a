"""What the node is meant to reach, beside what it reached in this run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.measurement import HELD_SHARE, Measurement, engine_seconds, held_rate
from bisenet_ros.node.benchmark.segment import Segment

ECHOES = 1.5
FASTER = {"fp32": 2.0, "bf16": 5.0}
"""Than the plain pipeline, by precision."""
STUB_SIZE, STUB_RATE = (480, 640), 200.0


@dataclass(frozen=True)
class Goal:
    """A goal and what was measured; `holds` is None where this run says nothing about it."""

    goal: str
    measured: str
    holds: Optional[bool]

    @property
    def verdict(self) -> str:
        return "not measured" if self.holds is None else "holds" if self.holds else "DOES NOT HOLD"


def judge(found: Measurement) -> List[Goal]:
    if found.setup.engine == "stub":
        return [_stub(found)]
    return [_latency(found), _loss_at_rate(found), _loss_held(found), _frame_rate(found)]


def _latency(found: Measurement) -> Goal:
    goal = f"latency p50 at {found.rate:g} Hz at most engine time + {ECHOES} x the bare echo"
    rounds = list(zip(found.at_rate["node"], found.at_rate["echo"]))
    if not all(node.latencies() and echo.latencies() for node, echo in rounds):
        return Goal(goal, "a round without answers", False)
    node = float(np.median([_median(segment) for segment, _ in rounds]))
    echo = float(np.median([_median(segment) for _, segment in rounds]))
    engine = 1000 * engine_seconds(found.at_rate["node"])
    allowed = engine + ECHOES * echo
    measured = f"{node:.1f} ms; allowed {allowed:.1f} = {engine:.1f} + {ECHOES} x {echo:.1f}"
    if found.setup.cameras > 1:
        return Goal(goal, f"{measured}; for one camera only: frames of several wait for each other", None)
    return Goal(goal, measured, node <= allowed)


def _loss_at_rate(found: Measurement) -> Goal:
    goal = f"no loss at {found.rate:g} Hz, if the engine holds it"
    return _no_loss(goal, found.at_rate["node"], rate=found.rate, cameras=found.setup.cameras)


def _loss_held(found: Measurement) -> Goal:
    rate = found.held[0].rate
    goal = f"no loss at {rate:.1f} Hz, {100 * HELD_SHARE:.0f} % of what the engine's p99 has time for"
    return _no_loss(goal, found.held, rate=rate, cameras=found.setup.cameras)


def _no_loss(goal: str, segments: Sequence[Segment], *, rate: float, cameras: int) -> Goal:
    """Loss says nothing about the node where the engine's slow frames took longer than the period."""
    busy, most = engine_seconds(segments) * rate * cameras, held_rate(segments, cameras=cameras)
    measured = (
        f"{_loss(segments)}; the engine is busy {100 * busy:.0f} % of the time, its p99 has time for {most:.1f} Hz"
    )
    lost = _lost(segments)
    return Goal(goal, measured, None if lost and rate > most else not lost)


def _frame_rate(found: Measurement) -> Goal:
    node = found.saturated["node"]
    precision = next((name for name in FASTER if node[0].node and node[0].node.engine.endswith(name)), None)
    factor = FASTER[precision] if precision else min(FASTER.values())
    goal = f"at least {factor:g} x the plain pipeline's frame rate in {precision or 'the same precision'}"
    plain = found.saturated.get("plain")
    if plain is None or precision is None:
        return Goal(goal, "the plain pipeline runs on a CPU only", None)
    rates = [(a.frames_per_second, b.frames_per_second) for a, b in zip(node, plain)]
    if not all(b for _, b in rates):
        return Goal(goal, "a round in which the plain pipeline answered nothing", None)
    ratio = float(np.median([a / b for a, b in rates]))
    ours, theirs = np.median(rates, axis=0)
    return Goal(goal, f"{ratio:.2f} x: {ours:.1f} and {theirs:.1f} frames per second", ratio >= factor)


def _stub(found: Measurement) -> Goal:
    goal = f"{STUB_RATE:g} Hz at {size_text(STUB_SIZE)} without loss, engine of zero cost"
    if found.setup.size != STUB_SIZE or found.rate < STUB_RATE:
        return Goal(goal, f"this run had {found.rate:g} Hz at {size_text(found.setup.size)}", None)
    segments = found.at_rate["node"]
    seconds = sum(segment.seconds for segment in segments)
    sent = sum(len(segment.sent) for segment in segments) / (seconds * found.setup.cameras)
    measured = f"{_loss(segments)}; the cameras reached {sent:.0f} Hz"
    return Goal(goal, measured, _lost(segments) == 0 and sent >= 0.98 * STUB_RATE)


def _median(segment: Segment) -> float:
    return float(np.median(segment.latencies()))


def _lost(segments: Sequence[Segment]) -> int:
    return sum(segment.lost for segment in segments)


def _loss(segments: Sequence[Segment]) -> str:
    return f"{_lost(segments)} of {sum(len(segment.sent) for segment in segments)} frames lost"
