"""What is wrong around the node, whatever its state: a second node of its name, a simulated clock that nobody sets."""

from __future__ import annotations

import time
from typing import Dict, List

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from bisenet_ros.node.topic_names import resolve

PERIOD = 1.0
"""Seconds between two looks."""
PATIENCE = 5.0
"""Seconds until what is wrong is said: a player may start just after the node, and a node before it just be ending."""


class Surroundings:
    """Looks around once per `PERIOD`, and logs what is new.

    Attributes:
        problems: what is wrong now, each in words with what to do about it.
    """

    def __init__(self, node: Node) -> None:
        self.problems: List[str] = []
        self._node = node
        self._since: Dict[str, float] = {}
        node.create_timer(PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        now = time.monotonic()
        found = [*_namesakes(self._node), *_unset_clock(self._node)]
        self._since = {problem: self._since.get(problem, now) for problem in found}
        lasting = [problem for problem, since in self._since.items() if now - since >= PATIENCE]
        for problem in lasting:
            if problem not in self.problems:
                self._node.get_logger().warning(problem)
        self.problems = lasting


def _namesakes(node: Node) -> List[str]:
    own = (node.get_name(), node.get_namespace())
    if node.get_node_names_and_namespaces().count(own) < 2:
        return []
    return [
        f"another node is called {node.get_fully_qualified_name()} too: masks of both come on the same topics, and "
        "services reach either; start one of them in a namespace of its own (`-r __ns:=/another`, `ros2 launch ... "
        "namespace:=another`), or under another name (`-r __node:=another`) if its topics are remapped"
    ]


def _unset_clock(node: Node) -> List[str]:
    clock = resolve(node, "/clock")
    if not node.get_parameter("use_sim_time").value or node.get_publishers_info_by_topic(clock):
        return []
    return [
        f"use_sim_time is set, and nobody publishes {clock}: the node's time stands still; play the bag with --clock, "
        "start the simulator, or set use_sim_time to false"
    ]
