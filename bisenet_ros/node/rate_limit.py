# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Thins out a stream of images to a rate."""

import math


class RateLimit:
    """Lets images pass at most at a rate, which may change from one to the next."""

    def __init__(self) -> None:
        self._last_due = -math.inf

    def allows(self, now: float, *, rate: float) -> bool:
        """Whether an image that comes now may pass.

        Args:
            now: seconds, by a clock that never goes back.
            rate: Hz; 0 lets every image pass.
        """
        if not rate:
            return True
        due = self._last_due + 1 / rate
        if now < due:
            return False
        # Counted from when the image was due, so that a camera's jitter does not lower the rate.
        self._last_due = max(due, now - 0.5 / rate)
        return True
