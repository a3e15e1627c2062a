# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The subscriptions to a camera's images, raw or compressed and as reliable as its driver, and to its camera_info."""

from typing import Any, Callable, List, Optional

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from bisenet_ros.errors import BisenetError
from bisenet_ros.node import qos
from bisenet_ros.node.camera_topics import TYPE_NAMES, camera_inputs, rectified_instead, resolve_topic
from bisenet_ros.node.image_messages import AnyImage
from bisenet_ros.node.parameters import Parameters

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble and before
    from rclpy.qos_event import SubscriptionEventCallbacks

TYPES = {"raw": Image, "compressed": CompressedImage}
DEPTH = 4
"""Images that DDS keeps until the executor takes them; it takes them at once unless every core is busy."""


class CameraSubscription:
    """The subscriptions to a camera's images and its camera_info, which `update` adapts to the images' publishers.

    With best effort, nearly every large image of a driver without a shared-memory profile is lost; a reliable
    subscription gets nothing from a best-effort driver. So "auto" is reliable where all publishers of the topic are,
    and the node subscribes again when a driver comes with another offer.

    Attributes:
        transport: "raw" or "compressed".

    Args:
        on_lost: is told how many images were lost in transport, as far as DDS reports it.
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        camera: str,
        *,
        on_image: Callable[[AnyImage], None],
        on_camera_info: Callable[[CameraInfo], None],
        on_lost: Callable[[int], None],
    ) -> None:
        self._node = node
        self._parameters = parameters
        self._on_image = on_image
        self._on_camera_info = on_camera_info
        self._on_lost = on_lost
        self._camera = camera
        self._topics = camera_inputs(node, camera)
        self._transports = tuple(TYPES) if parameters["transport"] == "auto" else (parameters["transport"],)
        self.transport = self._transports[0]
        self._images: Optional[Subscription] = None
        self._infos: Optional[Subscription] = None

    @property
    def topic(self) -> str:
        """The images' topic, after remapping."""
        return self._image_topic(self.transport)

    @property
    def info_topic(self) -> str:
        """The camera_info's topic, after remapping."""
        return resolve_topic(self._node, self._topics["camera_info"])

    @property
    def possible_topics(self) -> List[str]:
        """All that it may subscribe to, after remapping, now or later."""
        return [resolve_topic(self._node, topic) for topic in self._topics.values()]

    @property
    def profile(self) -> Optional[QoSProfile]:
        """The QoS of the subscription to the images; None if there is none."""
        return self._images.qos_profile if self._images is not None else None

    def publishers(self, name: str) -> List[Any]:
        """The publishers of images, "raw" or "compressed", or of "camera_info", as rclpy's TopicEndpointInfo."""
        return self._node.get_publishers_info_by_topic(self._topics[name])  # remaps the name itself

    @property
    def has_camera_info_of_driver(self) -> bool:
        """Whether camera_info comes from the node that publishes the images, which sends one with each."""
        publishers = self.publishers(self.transport), self.publishers("camera_info")
        images, infos = ({(info.node_namespace, info.node_name) for info in found} for found in publishers)
        return images == infos

    def update(self) -> None:
        """Subscribes, or subscribes again if the publishers' transport or reliability calls for it."""
        transport = next(filter(self._is_published, self._transports), self.transport)
        if self.profile is None or transport != self.transport:
            self._parameters.declare_reliability(self._image_topic(transport))
        reliability = self._choose_reliability(transport)
        if self.profile is not None and (transport, reliability) == (self.transport, self.profile.reliability):
            return
        self.close()
        self.transport = transport
        if self._parameters[f"{self._camera}.rectified"] and hasattr(self._node, "resolve_topic_name"):  # not on Foxy
            self._warn_of_raw_images()
        self._images = self._subscribe_to_images(QoSProfile(depth=DEPTH, reliability=reliability))
        best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._infos = qos.create_subscription(
            self._node, CameraInfo, self._topics["camera_info"], self._on_camera_info, best_effort
        )
        self._node.get_logger().info(f"subscribed to {self.topic}, {qos.describe(self._images.qos_profile)}")

    def close(self) -> None:
        for subscription in filter(None, (self._images, self._infos)):
            self._node.destroy_subscription(subscription)
        self._images = self._infos = None
        self.transport = self._transports[0]

    def _image_topic(self, transport: str) -> str:
        return resolve_topic(self._node, self._topics[transport])

    def _is_published(self, transport: str) -> bool:
        return any(info.topic_type == TYPE_NAMES[transport] for info in self.publishers(transport))

    def _choose_reliability(self, transport: str) -> ReliabilityPolicy:
        wanted = self._parameters.reliability(self._image_topic(transport))
        if wanted != "auto":
            return ReliabilityPolicy[wanted.upper()]
        offered = [info.qos_profile.reliability for info in self.publishers(transport)]
        if not offered and self.profile is not None and transport == self.transport:
            return self.profile.reliability
        all_reliable = offered and all(policy == ReliabilityPolicy.RELIABLE for policy in offered)
        return ReliabilityPolicy.RELIABLE if all_reliable else ReliabilityPolicy.BEST_EFFORT

    def _subscribe_to_images(self, profile: QoSProfile) -> Subscription:
        arguments = (self._node, TYPES[self.transport], self._topics[self.transport], self._on_image, profile)
        try:
            events = SubscriptionEventCallbacks(message_lost=self._count_lost)
            return qos.create_subscription(*arguments, reliability=False, event_callbacks=events)
        except (BisenetError, TypeError):  # not every middleware reports lost messages, and Foxy's rclpy never
            return qos.create_subscription(*arguments, reliability=False)

    def _warn_of_raw_images(self) -> None:
        images = self._image_topic("raw")
        if rectified_instead(images):
            self._node.get_logger().warning(
                f"the parameter {self._camera}.rectified is true, but {images} is by its name a topic of images that "
                f"are not rectified; remap it to one of rectified images, such as {rectified_instead(images)}"
            )

    def _count_lost(self, event: Any) -> None:
        self._on_lost(event.total_count_change)
