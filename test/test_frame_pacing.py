"""FramePacing on a simulated clock."""

from __future__ import annotations

from statistics import mean
from typing import List, Optional, Tuple

import numpy as np
import pytest

from bisenet_ros.node.frame_pacing import LATENESS, WINDOW, FramePacing

PERIOD = 0.066
FRAMES = 3000
Run = Tuple[float, float]
"""When a frame came, and when its mask left."""


def drive(engine: float, *, pacing: Optional[FramePacing], coming: Optional[np.ndarray] = None) -> List[Run]:
    """A camera and an engine that takes the newest frame, when it is free or when the pacing says so.

    Args:
        engine: periods per frame.
        coming: seconds at which the frames come.
    """
    coming = evenly() if coming is None else coming
    busy = PERIOD * engine * (1 + 0.03 * np.abs(np.random.default_rng(0).standard_normal(len(coming))))
    runs: List[Run] = []
    now, taken, told = 0.0, -1, -1
    while True:
        newest = int(np.searchsorted(coming, now, side="right")) - 1
        for frame in range(told + 1, newest + 1):
            if pacing:
                pacing.came(coming[frame])
        told = max(told, newest)
        if newest + 1 >= len(coming):
            return runs
        if newest == taken:
            now = coming[newest + 1]
            continue
        patience = pacing.patience(now) if pacing else 0.0
        if patience > 0:
            now = min(now + patience, coming[newest + 1])
            continue
        if pacing:
            pacing.began(now)
        taken, now = newest, now + busy[newest]
        if pacing:
            pacing.ended(now)
        runs.append((coming[taken], now))


def mean_age(runs: List[Run]) -> float:
    """Seconds since the newest mask's frame, averaged over time."""
    area = sum(((end - came) ** 2 - (start - came) ** 2) / 2 for (came, start), (_, end) in zip(runs, runs[1:]))
    return area / (runs[-1][1] - runs[0][1])


def latency(runs: List[Run]) -> float:
    return mean(left - came for came, left in runs)


@pytest.mark.parametrize("engine", [1.2, 1.4, 1.6, 1.8, 2.2, 2.5, 2.8, 3.3, 4.6])
def test_where_frames_are_left_out_anyway_masks_are_newer_than_if_the_waiting_frame_were_always_taken(
    engine: float,
) -> None:
    paced, greedy = drive(engine, pacing=FramePacing()), drive(engine, pacing=None)
    assert mean_age(paced) < mean_age(greedy)
    assert latency(paced) < latency(greedy) - PERIOD / 10
    assert len(paced) > 0.75 * len(greedy)


def evenly(*, jitter: float = 0.03) -> np.ndarray:
    """Seconds at which the frames of a camera come; the jitter is a share of its period."""
    return PERIOD * (np.arange(FRAMES) + jitter * np.random.default_rng(1).standard_normal(FRAMES))


def limited(rate: float) -> np.ndarray:
    """Of an even camera, what a limit to `rate` frames per period of it leaves."""
    coming = evenly()
    return coming[np.diff(np.floor(np.arange(FRAMES + 1) * rate)) > 0]


@pytest.mark.parametrize(
    "coming, engine",
    [
        *((evenly(), engine) for engine in (0.2, 0.6, 0.9)),
        (limited(2 / 3), 1.44),  # of 1.5 periods
        (limited(5 / 6), 1.17),  # of 1.2
        (np.sort(evenly(jitter=0.3)), 0.9),
    ],
)
def test_an_engine_that_keeps_up_waits_for_nothing(coming: np.ndarray, engine: float) -> None:
    paced, greedy = drive(engine, coming=coming, pacing=FramePacing()), drive(engine, coming=coming, pacing=None)
    assert paced == greedy


@pytest.mark.parametrize("engine", [1.2, 1.8, 2.5])
def test_a_camera_whose_frames_come_unevenly_is_not_waited_for(engine: float) -> None:
    coming = np.cumsum(np.random.default_rng(2).exponential(PERIOD, FRAMES))
    paced, greedy = drive(engine, coming=coming, pacing=FramePacing()), drive(engine, coming=coming, pacing=None)
    assert mean_age(paced) < 1.01 * mean_age(greedy) and len(paced) > 0.98 * len(greedy)


def slow() -> FramePacing:
    """An engine of 1.8 periods; its last frame came at 0, and it is free at 0.8 periods."""
    pacing = FramePacing()
    for frame in range(-2 * WINDOW, 1):
        pacing.came(frame * PERIOD)
    for _ in range(WINDOW):
        pacing.began(0.0)
        pacing.ended(1.8 * PERIOD)
    return pacing


def test_a_fresh_frame_is_taken_and_an_old_one_waits_for_the_next() -> None:
    assert slow().patience(0.4 * PERIOD) == 0
    assert slow().patience(0.8 * PERIOD) == pytest.approx((1 + LATENESS - 0.8) * PERIOD)


def test_a_camera_that_stopped_is_not_waited_for() -> None:
    pacing = slow()
    now = 0.8 * PERIOD
    now += pacing.patience(now)
    assert pacing.patience(now) == pytest.approx(0, abs=1e-9) and pacing.patience(now + 10) == 0


def test_nothing_is_waited_for_before_camera_and_engine_are_known() -> None:
    pacing = FramePacing()
    assert pacing.patience(1.0) == 0
    for frame in range(WINDOW):
        pacing.came(frame * PERIOD)
        pacing.began(frame * PERIOD)
        assert pacing.patience((frame + 0.9) * PERIOD) == 0
        pacing.ended((frame + 2) * PERIOD)


def test_after_a_pause_of_the_camera_nothing_is_waited_for_until_it_is_known_again() -> None:
    pacing = slow()
    for frame in range(WINDOW):
        pacing.came(100 + frame * PERIOD)
        assert pacing.patience(100 + (frame + 0.8) * PERIOD) == 0
    pacing.came(100 + WINDOW * PERIOD)
    assert pacing.patience(100 + (WINDOW + 0.8) * PERIOD) > 0
