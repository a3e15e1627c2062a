# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The soak's short form, some seconds at full rate over real DDS; and that each of its checks can fail."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path
from typing import Callable, List

import pytest

from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.benchmark.soak import (
    SHARED_MEMORY,
    Check,
    Sample,
    check_samples,
    files_in_use,
    mapped_files,
    shared_memory_files,
    soak,
    write,
)

SECONDS = 16.0
MEMORY, LATENCY = 0.03, 0.3
"""Wider bounds than those of half an hour: a quarter of this is 3 seconds on a machine that others use too."""


@pytest.mark.timeout(300)
def test_some_seconds_at_full_rate_leave_memory_and_latency_as_they_were(shipped_model: Path, tmp_path: Path) -> None:
    # A small network, so that the time has many frames.
    scenario = Scenario(model=str(shipped_model), size=(512, 1024), network_size="320x160")
    rate, samples, checks = soak(scenario, seconds=SECONDS, memory=MEMORY, latency=LATENCY)
    print(checks)
    assert [check for check in checks if not check.holds] == []
    assert len(checks) == 6 and rate > 0
    assert len(samples) >= 0.8 * SECONDS and samples[-1].masks > SECONDS
    assert all(sample.resident > 0 and sample.latency_ms > sample.wait_ms >= 0 for sample in samples)
    write(tmp_path, rate, samples, checks)
    assert len(json.loads((tmp_path / "soak.json").read_text())["samples"]) == len(samples)
    assert (tmp_path / "soak.png").stat().st_size > 10_000


def test_a_file_that_another_process_makes_again_is_no_leftover() -> None:
    path = SHARED_MEMORY / f"fast_test_{os.getpid()}"
    try:
        path.write_bytes(bytes(4096))
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
            mapped = mapped_files(os.getpid())
            assert path in {file for file, _ in files_in_use()}, "no leftover while a process uses it"
        assert path not in {file for file, _ in files_in_use()}
        assert path in {file for file, _ in mapped & shared_memory_files()}
        path.unlink()
        path.write_bytes(bytes(4096))
        assert path not in {file for file, _ in mapped & shared_memory_files()}
    finally:
        path.unlink()


def check_made_up(
    resident: Callable[[int], float] = lambda t: 400.0,
    latency: Callable[[int], float] = lambda t: 100.0,
    wait: float = 20,
) -> List[bool]:
    """Which checks hold for half an hour of a node at 20 Hz: memory, latency, wait."""
    samples = [
        Sample(seconds=t, resident=resident(t), masks=10 * t, latency_ms=latency(t), engine_ms=60.0, wait_ms=wait)
        for t in range(1, 1801)
    ]
    return [check.holds for check in check_samples(samples, period_ms=50, memory=0.02, latency=0.1)]


def test_memory_that_changes_after_the_warm_up_does_not_hold() -> None:
    assert check_made_up() == [True, True, True]
    assert check_made_up(resident=lambda t: min(400.0, 200 + 2 * t)) == [True, True, True]  # all in the warm-up
    assert check_made_up(resident=lambda t: 400 + 0.01 * t) == [False, True, True]
    assert check_made_up(resident=lambda t: 400 - 0.01 * t) == [False, True, True]


def test_latency_that_grows_does_not_hold() -> None:
    assert check_made_up(latency=lambda t: 100 + 5 * t / 1800) == [True, True, True]
    assert check_made_up(latency=lambda t: 100 + 20 * t / 1800) == [True, False, True]


def test_a_backlog_does_not_hold() -> None:
    assert check_made_up(wait=60.0) == [True, True, False]


def test_too_few_samples_do_not_hold() -> None:
    assert check_samples([], period_ms=50, memory=0.02, latency=0.1) == [
        Check("there are enough samples", "0 after the warm-up", False)
    ]
