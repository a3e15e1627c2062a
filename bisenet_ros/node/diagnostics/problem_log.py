# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Problems that last are logged as warnings: when they appear, and every minute while they last."""

import time
from typing import Dict, List

from rclpy.node import Node

REPEAT_PERIOD = 60.0
"""Seconds after which a problem that goes on is logged again."""


class ProblemLog:
    """Logs a problem once it has lasted for `delay` seconds, as much is wrong for a moment while programs start."""

    def __init__(self, node: Node, *, delay: float) -> None:
        self._node = node
        self._delay = delay
        self._since: Dict[str, float] = {}
        self._logged: Dict[str, float] = {}

    def update(self, problems: List[str]) -> List[str]:
        """Takes what is wrong now, each with its cause and what to do; returns what has been wrong for long enough."""
        now = time.monotonic()
        self._since = {problem: self._since.get(problem, now) for problem in problems}
        self._logged = {it: when for it, when in self._logged.items() if now - when < REPEAT_PERIOD}
        lasting = [problem for problem, since in self._since.items() if now - since >= self._delay]
        for problem in lasting:
            if now - self._logged.get(problem, -REPEAT_PERIOD) >= REPEAT_PERIOD:
                self._node.get_logger().warning(problem)
                self._logged[problem] = now
        return lasting
