"""The soak's short form: two minutes at full rate over real DDS; and that its judgment can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, List

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("psutil")
from bisenet_ros.node.benchmark.setup import Setup  # noqa: E402
from bisenet_ros.node.benchmark.soak.run import Bounds, soak, write_soak  # noqa: E402
from bisenet_ros.node.benchmark.soak.sample import Sample  # noqa: E402
from bisenet_ros.node.benchmark.soak.verdict import judge_end, judge_latency, judge_memory, judge_wait  # noqa: E402

SECONDS = 105.0
BOUNDS = Bounds(memory=0.03, latency=0.3)
"""Wider than those of half an hour: a quarter of this is 22 seconds on a machine that others use too."""


@pytest.mark.timeout(300)
def test_two_minutes_at_full_rate_leave_memory_and_latency_as_they_were(shipped_model: Path, tmp_path: Path) -> None:
    found = soak(Setup(model=str(shipped_model), size=(512, 1024)), seconds=SECONDS, bounds=BOUNDS)
    print([(goal.goal, goal.measured) for goal in found.goals])
    assert [goal for goal in found.goals if not goal.holds] == []
    assert len(found.samples) >= 0.8 * SECONDS and sum(sample.masks for sample in found.samples) > SECONDS
    assert all(sample.rss >= sample.pss >= sample.private > 0 for sample in found.samples)
    assert all(sample.shared_memory > 0 for sample in found.samples)
    write_soak(found, tmp_path, load="any")
    assert len(json.loads((tmp_path / "soak.json").read_text())["samples"]) == len(found.samples)
    assert (tmp_path / "soak.png").stat().st_size > 10_000


def make_samples(rss: Callable[[int], float] = lambda t: 400.0, wait: float = 20.0, **window: float) -> List[Sample]:
    """Half an hour of a node, second by second; `window` has the latency at the `start` and the `end`, in ms."""
    start, end = window.get("start", 100.0), window.get("end", 100.0)
    return [
        Sample(
            seconds=float(t),
            rss=rss(t),
            pss=300.0,
            private=200.0,
            shared_memory=60.0,
            masks=10,
            latency_ms=start,
            window_ms=start + (end - start) * t / 1800,
            engine_ms=60.0,
            wait_ms=wait,
        )
        for t in range(1, 1801)
    ]


def test_memory_that_grows_after_the_warm_up_does_not_hold() -> None:
    assert judge_memory(make_samples(), bound=0.02).holds
    assert judge_memory(make_samples(lambda t: min(400.0, 200 + 2 * t)), bound=0.02).holds  # all of it in the warm-up
    assert not judge_memory(make_samples(lambda t: 400 + 0.01 * t), bound=0.02).holds
    assert not judge_memory(make_samples(lambda t: 400 - 0.01 * t), bound=0.02).holds
    assert not judge_memory([], bound=0.02).holds


def test_latency_that_drifts_does_not_hold() -> None:
    assert judge_latency(make_samples(start=100, end=105), bound=0.1).holds
    assert not judge_latency(make_samples(start=100, end=120), bound=0.1).holds


def test_a_backlog_does_not_hold() -> None:
    assert judge_wait(make_samples(wait=40.0), rate=20.0).holds
    assert not judge_wait(make_samples(wait=60.0), rate=20.0).holds


def test_an_end_that_is_not_clean_does_not_hold() -> None:
    assert all(goal.holds for goal in judge_end(code=0, leftovers=[], words=[]))
    assert [goal.holds for goal in judge_end(code=-2, leftovers=["fastrtps_x"], words=["Traceback"])] == [False] * 3
