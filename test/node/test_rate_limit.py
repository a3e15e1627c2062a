# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The rate of masks, by a clock of the test's own."""

from __future__ import annotations

import numpy as np
import pytest

from bisenet_ros.node.rate_limit import RateLimit


def passed(times: np.ndarray, *, rate: float) -> np.ndarray:
    limit = RateLimit()
    return np.array([now for now in times if limit.allows(now, rate=rate)])


def images_at(rate: float, *, seconds: float = 100.0, jitter: float = 0.0) -> np.ndarray:
    times = 1000 + np.arange(round(seconds * rate)) / rate
    return np.sort(times + np.random.default_rng(0).uniform(-jitter, jitter, len(times)))


@pytest.mark.parametrize("rate", [1.0, 10.0, 20.0, 25.0, 29.9])
@pytest.mark.parametrize("jitter", [0.0, 0.01])
def test_the_rate_is_kept_whatever_the_camera_s(rate: float, jitter: float) -> None:
    """At 30 Hz only every second image has the distance of 20 Hz from the one before."""
    found = len(passed(images_at(30.0, jitter=jitter), rate=rate)) / 100
    assert 0.9 * rate < found < 1.02 * rate


def test_slower_cameras_lose_nothing() -> None:
    times = images_at(15.0, jitter=0.01)
    assert np.array_equal(passed(times, rate=0.0), times) and len(passed(times, rate=20.0)) > 0.99 * len(times)


def test_after_a_pause_there_is_no_burst() -> None:
    times = np.concatenate([images_at(30.0, seconds=1.0), 60 + images_at(30.0, seconds=1.0)])
    after = passed(times, rate=10.0)
    assert len(after[after > 1050]) <= 11 and np.diff(after).min() > 0.04


def test_the_first_image_passes_at_any_time() -> None:
    """A clock may begin at the machine's start."""
    assert RateLimit().allows(0.5, rate=0.1)
