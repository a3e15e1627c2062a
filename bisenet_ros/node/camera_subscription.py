"""The subscription to the camera, with the reliability that the camera offers."""

from __future__ import annotations

from typing import Callable, Optional

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image

RELIABILITIES = ("auto", "reliable", "best_effort")
FOLLOW_PERIOD = 0.25
"""Seconds between two looks at what the camera offers."""


class CameraSubscription:
    """Keeps one image subscription of depth 1.

    Best effort loses nearly every large frame of a camera driver without a shared-memory profile, and reliable gets
    nothing from a best-effort driver. So "auto" asks for reliable when all publishers of the topic offer it, and
    subscribes anew when a driver comes with another offer.
    """

    def __init__(self, node: Node, topic: str, callback: Callable[[Image], None], *, reliability: str) -> None:
        self._node = node
        self._callback = callback
        self._asked_topic = topic
        self.topic = node.resolve_topic_name(topic)
        self._subscription: Optional[Subscription] = None
        if reliability == "auto":
            self._follow()
            node.create_timer(FOLLOW_PERIOD, self._follow)
        else:
            self._subscribe(ReliabilityPolicy[reliability.upper()])

    def _follow(self) -> None:
        offered = [info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)]
        if self._subscription is not None and not offered:
            return
        all_reliable = offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        self._subscribe(ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT)

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        if self._subscription is not None:
            if self._subscription.qos_profile.reliability == reliability:
                return
            self._node.destroy_subscription(self._subscription)
        profile = QoSProfile(depth=1, reliability=reliability)
        self._subscription = self._node.create_subscription(Image, self._asked_topic, self._callback, profile)
        self._node.get_logger().info(f"subscribed to {self.topic}, {reliability.name.lower().replace('_', ' ')}")
