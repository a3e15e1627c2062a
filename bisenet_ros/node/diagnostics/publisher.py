"""Publishes the node's statuses on /diagnostics."""

from __future__ import annotations

from typing import Callable, List

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from bisenet_ros.node import qos


class DiagnosticsPublisher:
    """Publishes at a fixed rate (Hz), and at each call of `publish`."""

    def __init__(self, node: Node, statuses: Callable[[], List[DiagnosticStatus]], *, rate: float) -> None:
        self._node = node
        self._statuses = statuses
        self._publisher = qos.create_publisher(node, DiagnosticArray, "/diagnostics", 10)
        # Not the ROS clock: a simulated one may stand still.
        node.create_timer(1 / rate, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def publish(self) -> None:
        array = DiagnosticArray(status=self._statuses())
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
