"""The subscription to a camera: raw or compressed, with the reliability that its driver offers."""

from __future__ import annotations

from functools import partial
from typing import Any, Callable, List, Optional, Union

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.node import qos, topic_names

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble and before
    from rclpy.qos_event import SubscriptionEventCallbacks

AnyImage = Union[Image, CompressedImage]
TYPES = {"raw": Image, "compressed": CompressedImage}
TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}


DEPTH = 4
"""Images that DDS keeps until the executor takes them, which is at once: they wait only while no core is free."""


class CameraSubscription:
    """Keeps one image subscription that `follow` fits to what the camera's driver offers.

    Best effort loses nearly every large image of a driver without a shared-memory profile, and reliable gets nothing
    from a best-effort driver. So "auto" asks for reliable when all publishers of the topic offer it, and subscribes
    anew when a driver comes with another offer.

    Attributes:
        topic: the topic subscribed to, as it is called after remapping.
        transport: "raw" or "compressed", that of the topic.
        profile: the QoS asked for.
    """

    def __init__(
        self,
        node: Node,
        topic: str,
        callback: Callable[[AnyImage], None],
        *,
        transport: str,
        reliability: Callable[[str], str],
        on_lost: Callable[[int], None],
    ) -> None:
        """
        Args:
            topic: of the raw images; the compressed ones come from `<topic>/compressed`.
            transport: "auto", "raw" or "compressed".
            reliability: tells what to ask for, of a topic's name: "auto", "reliable" or "best_effort".
            on_lost: is told how many images were lost on their way here, as far as DDS notices.
        """
        self._node = node
        self._asked = {"raw": topic, "compressed": f"{topic_names.resolve(node, topic)}/compressed"}
        self._callback = callback
        self._on_lost = on_lost
        self._choices = tuple(TYPES) if transport == "auto" else (transport,)
        self._reliability = reliability
        self._subscription: Optional[Subscription] = None
        self.transport = self._choices[0]
        self.follow()

    @property
    def topic(self) -> str:
        return self._resolved(self.transport)

    @property
    def profile(self) -> QoSProfile:
        assert self._subscription is not None
        return self._subscription.qos_profile

    def publishers(self) -> List[Any]:
        """What ROS knows of those who publish the topic."""
        return self._publishers(self.transport)

    def follow(self) -> None:
        """Looks at what is published, and subscribes anew where that fits it better."""
        transport = next(filter(self._is_published, self._choices), self.transport)
        reliability = self._fitting_reliability(transport)
        if self._subscription is not None:
            if (transport, reliability) == (self.transport, self.profile.reliability):
                return
            self.close()
        self.transport = transport
        self._subscription = self._subscribe(QoSProfile(depth=DEPTH, reliability=reliability))
        self._node.get_logger().info(f"subscribed to {self.topic}, {qos.in_words(self.profile)}")

    def close(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = None

    def _resolved(self, transport: str) -> str:
        return topic_names.resolve(self._node, self._asked[transport])

    def _is_published(self, transport: str) -> bool:
        return any(info.topic_type == TYPE_NAMES[transport] for info in self._publishers(transport))

    def _publishers(self, transport: str) -> List[Any]:
        return self._node.get_publishers_info_by_topic(self._asked[transport])  # it remaps the name itself

    def _fitting_reliability(self, transport: str) -> ReliabilityPolicy:
        asked = self._reliability(self._resolved(transport))
        if asked != "auto":
            return ReliabilityPolicy[asked.upper()]
        offered = [info.qos_profile.reliability for info in self._publishers(transport)]
        if not offered and self._subscription is not None and transport == self.transport:
            return self.profile.reliability
        all_reliable = offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        return ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT

    def _subscribe(self, profile: QoSProfile) -> Subscription:
        subscribe = partial(
            self._node.create_subscription,
            TYPES[self.transport],
            self._asked[self.transport],
            self._callback,
            profile,
            **qos.overridable(*qos.BASIC),
        )
        with qos.named_errors(self._node, self._asked[self.transport], "subscription"):
            try:
                return subscribe(event_callbacks=SubscriptionEventCallbacks(message_lost=self._count_lost))
            except Exception:  # not every middleware tells what it lost
                return subscribe()

    def _count_lost(self, event: Any) -> None:
        self._on_lost(event.total_count_change)
