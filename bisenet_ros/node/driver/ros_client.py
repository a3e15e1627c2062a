# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A ROS node to publish, subscribe and wait with, in a context of its own, spun only while somebody waits."""

import os
import time
from typing import Any, Callable, Optional, Type, TypeVar

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.image_memory import keep_image_memory

LISTENER_DEPTH = 100
"""Messages; so many that the driver itself loses none."""
SPIN_PERIOD = 0.02
"""Seconds until a condition is looked at again where no message comes."""
LOCALHOST_ONLY = (
    {"ROS_LOCALHOST_ONLY": "1"}
    if os.environ.get("ROS_DISTRO") in ("foxy", "galactic", "humble")
    else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
)
"""Environment variable that keeps ROS on this machine; releases after Humble warn of the old name."""
T = TypeVar("T")


class DriverError(BisenetError):
    """A node, or what is around it, did not start, ended early, or did not answer."""


class RosClient:
    """Publishes, subscribes and waits."""

    def __init__(self, domain: int, name: str = "driver") -> None:
        use_shared_memory()
        keep_image_memory()
        self.domain = domain
        self._context = Context()
        self._context.init(args=[], domain_id=domain)
        self.node = Node(name, context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def subscribe(self, topic: str, message_type: Type[T], callback: Callable[[T], Any]) -> None:
        """Calls back, while somebody waits, with every message of a topic that is published reliably."""
        profile = QoSProfile(depth=LISTENER_DEPTH, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(message_type, topic, callback, profile)

    def spin_until(self, condition: Callable[[], Optional[T]], seconds: float) -> Optional[T]:
        """What the condition returns once it is true; None when that takes longer."""
        deadline = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                return None
            self._executor.spin_once(timeout_sec=SPIN_PERIOD)

    def wait_for(self, condition: Callable[[], Optional[T]], what: str, seconds: float) -> T:
        """Waits until the condition is true and returns its value; raises DriverError after so many seconds."""
        value = self.spin_until(condition, seconds)
        if not value:
            raise DriverError(f"waited {seconds:.0f} s for {what}")
        return value
