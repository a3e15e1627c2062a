# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The driver's own ROS node, in a context of its own, spun only while somebody waits."""

import os
import random
import socket
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Type, TypeVar

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.fastdds import use_shared_memory

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
FREE_DOMAINS = range(52, 102)
"""Domains for `free_domain`: lower ones are left to users, the ports of higher ones overlap with ephemeral ports."""

T = TypeVar("T")


class DriverError(BisenetError):
    """A node, or what is around it, did not start, ended early, or did not answer."""


class DriverNode:
    """Publishes, subscribes and waits."""

    def __init__(self, domain: int, name: str = "driver") -> None:
        use_shared_memory()
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


@contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain that no other driver on this machine has meanwhile; DriverError if all of FREE_DOMAINS are in use.

    A domain is taken by the name of an abstract Unix socket, which Linux frees when the process ends. Domains in which
    a node of somebody else listens on the network are passed over.
    """
    for domain in random.SystemRandom().sample(FREE_DOMAINS, len(FREE_DOMAINS)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0bisenet_ros_domain_{domain}")
            except OSError:
                continue
            if _has_participant(domain):
                continue
            yield domain
            return
    raise DriverError(f"ROS domains {FREE_DOMAINS[0]} to {FREE_DOMAINS[-1]} are all in use; end some ROS processes")


def _has_participant(domain: int) -> bool:
    """Whether the port of a domain's first participant, by the DDS standard, is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return True
    return False
