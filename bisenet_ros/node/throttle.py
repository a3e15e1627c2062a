"""One log line per reason and period, however many frames have it."""

from __future__ import annotations

import time
from typing import Dict


class Throttle:
    """Lets each reason through once in a period."""

    def __init__(self, period: float) -> None:
        self._period = period
        self._next: Dict[str, float] = {}

    def passes(self, reason: str) -> bool:
        """Whether this reason's turn has come, period seconds after its last."""
        now = time.monotonic()
        if now < self._next.get(reason, now):
            return False
        self._next[reason] = now + self._period
        return True
