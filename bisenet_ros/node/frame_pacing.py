"""Whether a frame that has waited is worth the engine's time, or the next one is nearly there."""

from __future__ import annotations

from collections import deque
from statistics import mean, median
from typing import Deque, Optional

WINDOW = 15
"""Gaps between frames, and runs of the engine, by which they are judged; until there are that many, no frame is waited
for."""
ODD = 2
"""Of the gaps, that may be of any length; with more, nobody knows when the next frame comes."""
WORTH = 0.5
"""Of a camera's period: an older frame is worth less than the next. This share makes the mean age of the newest mask
least, or nearly, for any ratio of engine time to period."""
LATENESS = 0.25
"""Of a period: by how much the camera's gaps differ, and how long beyond it the next frame is waited for."""


class FramePacing:
    """When the frames of one camera come, and for how long each keeps the engine busy.

    An engine that is slower than the camera has to leave frames out. If it always takes the one that waits, that has
    waited for half a period on average, which every mask is then late by; if it waits a moment for a fresh one, masks
    are fewer, newer and more even. When that pays is the question of Sun et al., Update or Wait: How to Keep Your Data
    Fresh, IEEE Transactions on Information Theory 63 (11), 2017. An engine that keeps up waits for nothing, and for a
    camera whose frames come unevenly none does.

    All times are of one monotonic clock, in seconds.
    """

    def __init__(self) -> None:
        self._gaps: Deque[float] = deque(maxlen=WINDOW)
        self._runs: Deque[float] = deque(maxlen=WINDOW)
        self._came: Optional[float] = None
        self._began: Optional[float] = None

    def came(self, now: float) -> None:
        """A frame came."""
        if self._came is not None:
            self._gaps.append(now - self._came)
        self._came = now

    def began(self, now: float) -> None:
        """The engine took one."""
        self._began = now

    def ended(self, now: float) -> None:
        """The engine is free again."""
        if self._began is not None:
            self._runs.append(now - self._began)
        self._began = None

    def patience(self, now: float) -> float:
        """Seconds to wait for the next frame, though the newest one is there and the engine is free; 0: take it."""
        if self._came is None or min(len(self._gaps), len(self._runs)) < WINDOW:
            return 0.0
        period = median(self._gaps)
        keeps_up = median(self._runs) <= mean(self._gaps)
        odd = sum(abs(gap - period) > LATENESS * period for gap in self._gaps)
        if keeps_up or odd > ODD or now - self._came <= WORTH * period:
            return 0.0
        return max(0.0, self._came + (1 + LATENESS) * period - now)
