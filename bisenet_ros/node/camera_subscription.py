"""The subscription to a camera's images: raw or compressed, with the reliability that the camera's driver offers."""

from __future__ import annotations

from typing import Any, Callable, List, Optional

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.errors import BisenetError
from bisenet_ros.node import qos
from bisenet_ros.node.camera_topics import compressed_topic, resolve_topic
from bisenet_ros.node.image_messages import AnyImage
from bisenet_ros.node.parameters import Parameters

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble and before
    from rclpy.qos_event import SubscriptionEventCallbacks

TYPES = {"raw": Image, "compressed": CompressedImage}
TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
DEPTH = 4
"""Images that DDS keeps until the executor takes them; it takes them at once unless every core is busy."""


class CameraSubscription:
    """An image subscription that `update` adapts to the topic's publishers.

    With best effort, nearly every large image of a driver without a shared-memory profile is lost; a reliable
    subscription gets nothing from a best-effort driver. So "auto" is reliable where all publishers of the topic are,
    and the node subscribes anew when a driver comes with another offer.

    Attributes:
        transport: "raw" or "compressed".
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        topic: str,
        *,
        on_image: Callable[[AnyImage], None],
        on_lost: Callable[[int], None],
    ) -> None:
        """
        Args:
            topic: of the raw images, before remapping; compressed images come from its resolved name + "/compressed".
            on_lost: is told how many images were lost in transport, where DDS notices.
        """
        self._node = node
        self._parameters = parameters
        self._topics = {"raw": topic, "compressed": compressed_topic(resolve_topic(node, topic))}
        self._on_image = on_image
        self._on_lost = on_lost
        self._transports = tuple(TYPES) if parameters["transport"] == "auto" else (parameters["transport"],)
        self._subscription: Optional[Subscription] = None
        self.transport = self._transports[0]
        self.update()

    @property
    def topic(self) -> str:
        """The topic subscribed to, after remapping."""
        return resolve_topic(self._node, self._topics[self.transport])

    @property
    def profile(self) -> QoSProfile:
        """The QoS of the subscription."""
        assert self._subscription is not None
        return self._subscription.qos_profile

    def publishers(self) -> List[Any]:
        """The topic's publishers, as rclpy's TopicEndpointInfo."""
        return self._publishers(self.transport)

    def update(self) -> None:
        """Subscribes anew if the publishers' transport or reliability calls for it."""
        transport = next(filter(self._is_published, self._transports), self.transport)
        reliability = self._choose_reliability(transport)
        if self._subscription is not None:
            if (transport, reliability) == (self.transport, self.profile.reliability):
                return
            self.close()
        self.transport = transport
        self._subscription = self._subscribe(QoSProfile(depth=DEPTH, reliability=reliability))
        self._node.get_logger().info(f"subscribed to {self.topic}, {qos.describe(self.profile)}")

    def close(self) -> None:
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._subscription = None

    def _is_published(self, transport: str) -> bool:
        return any(info.topic_type == TYPE_NAMES[transport] for info in self._publishers(transport))

    def _publishers(self, transport: str) -> List[Any]:
        return self._node.get_publishers_info_by_topic(self._topics[transport])  # remaps the name itself

    def _choose_reliability(self, transport: str) -> ReliabilityPolicy:
        wanted = self._parameters.reliability(resolve_topic(self._node, self._topics[transport]))
        if wanted != "auto":
            return ReliabilityPolicy[wanted.upper()]
        offered = [info.qos_profile.reliability for info in self._publishers(transport)]
        if not offered and self._subscription is not None and transport == self.transport:
            return self.profile.reliability
        all_reliable = offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        return ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT

    def _subscribe(self, profile: QoSProfile) -> Subscription:
        arguments = (self._node, TYPES[self.transport], self._topics[self.transport], self._on_image, profile)
        events = SubscriptionEventCallbacks(message_lost=self._count_lost)
        try:
            return qos.create_subscription(*arguments, reliability=False, event_callbacks=events)
        except BisenetError:  # not every middleware reports lost messages
            return qos.create_subscription(*arguments, reliability=False)

    def _count_lost(self, event: Any) -> None:
        self._on_lost(event.total_count_change)
