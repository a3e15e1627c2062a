"""What became of one camera's images, and how long their way took."""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import Deque, Dict

import numpy as np

OUTCOMES = ("published", "dropped_newer", "dropped_stale", "dropped_rate", "dropped_inactive", "skipped", "failed")
"""Every image received ends as one of these.

dropped_newer: a newer image came before its turn; dropped_stale: older than `max_age`; dropped_rate: above
`publish_rate`; dropped_inactive: the camera or the node was switched off meanwhile; skipped: cannot be read; failed:
the engine could not segment it.
"""
STAGES = ("receive", "wait", "convert", "engine", "publish", "total")
"""The way of an image: from its stamp to the node, waiting for its turns, to BGR, to labels, mask out; in the node."""
WINDOW = 300
"""Images that the times are taken over."""


class FrameStatistics:
    """Counts and times, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._seconds: Dict[str, Deque[float]] = {stage: deque(maxlen=WINDOW) for stage in STAGES}

    def count(self, event: str, number: int = 1) -> None:
        with self._lock:
            self._counts[event] += number

    def add_seconds(self, **stages: float) -> None:
        with self._lock:
            for stage, seconds in stages.items():
                self._seconds[stage].append(seconds)

    def counts(self) -> Dict[str, int]:
        """How many images were received, what became of them, and why those skipped were (`skipped_<reason>`)."""
        with self._lock:
            counts = dict(self._counts)
        return {**dict.fromkeys(("received", *OUTCOMES, "lost_in_transport"), 0), **counts}

    def milliseconds(self) -> Dict[str, str]:
        """`<stage>_p50_ms` and `_p99_ms` of the last images."""
        with self._lock:
            seconds = {stage: list(values) for stage, values in self._seconds.items() if values}
        values = {}
        for stage, times in seconds.items():
            p50, p99 = 1000 * np.percentile(times, [50, 99])
            values.update({f"{stage}_p50_ms": f"{p50:.1f}", f"{stage}_p99_ms": f"{p99:.1f}"})
        return values
