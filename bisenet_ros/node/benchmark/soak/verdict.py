"""Whether a soak shows what it is meant to show."""

from __future__ import annotations

from typing import Callable, List, Optional, Sequence

import numpy as np

from bisenet_ros.node.benchmark.goals import Goal
from bisenet_ros.node.benchmark.soak.sample import Sample

LONGEST_WARM_UP = 120.0
WARM_UP_SHARE = 1 / 6
FEWEST = 4


def settled(samples: Sequence[Sample]) -> List[Sample]:
    """Those after the warm-up: two minutes, or a sixth of a shorter soak."""
    warm_up = min(LONGEST_WARM_UP, WARM_UP_SHARE * samples[-1].seconds) if samples else 0.0
    return [sample for sample in samples if sample.seconds >= warm_up]


def judge_memory(samples: Sequence[Sample], *, bound: float) -> Goal:
    """The node's resident memory: median of the last quarter against the first, after the warm-up."""
    goal = f"memory flat within {100 * bound:g} %"
    change = _change(samples, lambda sample: sample.rss)
    if change is None:
        return Goal(goal, "too few samples", False)
    first, last = change
    return Goal(
        goal, f"{100 * (last / first - 1):+.2f} %: {first:.1f} to {last:.1f} MB", abs(last / first - 1) <= bound
    )


def judge_latency(samples: Sequence[Sample], *, bound: float) -> Goal:
    """The latency without the wait, by the engine's time of the same frames.

    So that a machine that others use too is no drift: with the engine's time, the wait for the engine changes as well.
    It has a bound of its own: see `judge_wait`.
    """
    goal = f"latency without the wait, in engine times, grows by at most {100 * bound:g} %"
    change = _change(
        samples, lambda sample: (sample.window_ms - sample.wait_ms) / sample.engine_ms if sample.window_ms else None
    )
    if change is None:
        return Goal(goal, "too few seconds with masks", False)
    first, last = change
    return Goal(goal, f"{100 * (last / first - 1):+.1f} %: {first:.2f} to {last:.2f}", last / first - 1 <= bound)


def judge_wait(samples: Sequence[Sample], *, rate: float) -> Goal:
    """A frame that waits longer than the camera takes for the next one is not the newest: a backlog."""
    period = 1000 / rate
    goal = f"frames wait no longer than the camera's {period:.0f} ms"
    change = _change(samples, lambda sample: sample.wait_ms)
    if change is None:
        return Goal(goal, "too few samples", False)
    return Goal(goal, f"{change[0]:.1f} and at the end {change[1]:.1f} ms", change[1] <= period)


def judge_end(*, code: int, leftovers: Sequence[str], words: Sequence[str]) -> List[Goal]:
    """Args: the exit code after SIGINT, files left in /dev/shm, and lines of the node's that tell of errors."""
    return [
        Goal("SIGINT at full rate ends the node with exit code 0", f"exit code {code}", code == 0),
        Goal("nothing is left in /dev/shm", ", ".join(leftovers) or "nothing", not leftovers),
        Goal("the node told of no error", f"{len(words)} lines: {words[0]}" if words else "none", not words),
    ]


def _change(samples: Sequence[Sample], value: Callable[[Sample], Optional[float]]) -> Optional[tuple]:
    """The medians of the first and the last quarter."""
    values = [value(sample) for sample in settled(samples)]
    known = [number for number in values if number is not None]
    if len(known) < FEWEST:
        return None
    quarter = len(known) // 4
    return float(np.median(known[:quarter])), float(np.median(known[-quarter:]))
