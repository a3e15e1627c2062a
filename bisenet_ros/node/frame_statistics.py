# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Counts and times of one camera's frames."""

import threading
import time
from collections import Counter, deque
from typing import Deque, Dict, Mapping, Tuple

import numpy as np

OUTCOMES = ("published", "dropped_newer", "dropped_stale", "dropped_rate", "dropped_inactive", "skipped", "failed")
"""Every image received has one of these outcomes.

published: its mask was published. dropped_newer: displaced by a newer image while it waited. dropped_stale: older than
`max_age`. dropped_rate: above `publish_rate`. dropped_inactive: the camera or the node was deactivated meanwhile.
skipped: cannot be decoded. failed: the engine could not segment it, or its mask could not be published.
"""
DERIVED_DROPS = ("confidence_dropped", "ground_grid_dropped", "pictures_dropped")
"""Masks published without confidence, ground grid, or pictures (color mask, overlay), as newer ones came first."""
DERIVED_FAILURES = ("confidence_failed", "ground_grid_failed", "pictures_failed")
"""The same, as they could not be made or published."""
STAGES = ("receive", "wait", "convert", "engine", "publish", "total", "pictures")
"""The stages that are timed.

receive: from the stamp to the node. wait: for conversion and for the engine. convert: message to BGR frame. engine:
frame to mask. publish: of the mask. total: from the node's receiving the image to the published mask. pictures: color
mask and overlay drawn, compressed and published, beside the engine.
"""
WINDOW = 5.0
"""Seconds over which the times' percentiles are taken."""


def count_waiting(counts: Mapping[str, int]) -> int:
    """How many images received have no outcome yet: they wait, or are being segmented. 0: the node is at rest."""
    return counts["received"] - sum(counts[outcome] for outcome in OUTCOMES)


class FrameStatistics:
    """Counts events and times stages; may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        # When each was added, and the seconds that the stage took.
        self._times: Dict[str, Deque[Tuple[float, float]]] = {stage: deque() for stage in STAGES}

    def count(self, event: str, number: int = 1) -> None:
        with self._lock:
            self._counts[event] += number

    def add_seconds(self, **stages: float) -> None:
        now = time.monotonic()
        with self._lock:
            for stage, seconds in stages.items():
                self._times[stage].append((now, seconds))
            self._forget(now - WINDOW)

    def counts(self) -> Dict[str, int]:
        """The counts of all events; those that every camera has are 0 before they happen."""
        with self._lock:
            counts = dict(self._counts)
        always = ("received", *OUTCOMES, *DERIVED_DROPS, *DERIVED_FAILURES, "lost_in_transport", "camera_infos")
        return {**dict.fromkeys(always, 0), **counts}

    def milliseconds(self) -> Dict[str, str]:
        """`<stage>_p50_ms` and `<stage>_p99_ms` of the last WINDOW seconds, of the stages that a frame has passed."""
        with self._lock:
            self._forget(time.monotonic() - WINDOW)
            seconds = {stage: [taken for _, taken in times] for stage, times in self._times.items() if times}
        return {
            f"{stage}_p{percent}_ms": f"{1000 * np.percentile(times, percent):.1f}"
            for stage, times in seconds.items()
            for percent in (50, 99)
        }

    def _forget(self, before: float) -> None:
        """Drops the times that were added before a moment."""
        for times in self._times.values():
            while times and times[0][0] < before:
                times.popleft()
