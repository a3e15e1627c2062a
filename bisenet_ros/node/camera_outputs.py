"""What is published for one camera: the mask always, the other topics while somebody subscribes."""

from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from bisenet_ros.images.colors import blend, paint
from bisenet_ros.node import qos
from bisenet_ros.node.image_messages import make_image
from bisenet_ros.node.parameters import Parameters

DEPTH = 5
"""Messages kept for reliable subscribers that fall behind for a moment; the publisher does not wait for them."""
TOPICS: Dict[str, Any] = {
    "mask": Image,
    "confidence": Image,
    "color_mask": Image,
    "overlay": Image,
    "camera_info": CameraInfo,
}


class CameraOutputs:
    """The publishers `mask` (mono8 ids), `confidence` (mono8), `color_mask` (rgb8), `overlay` (bgr8), `camera_info`."""

    def __init__(self, node: Node, parameters: Parameters, *, prefix: str, colors: np.ndarray) -> None:
        """
        Args:
            prefix: of the topics' names, such as "front/".
            colors: 256 x 3 uint8 RGB, the color of every class id.
        """
        self._node = node
        self._parameters = parameters
        self._colors = colors
        self._publishers = {
            name: qos.create_publisher(node, message_type, prefix + name, DEPTH)
            for name, message_type in TOPICS.items()
        }

    def has_subscriber(self, name: str) -> bool:
        return self._publishers[name].get_subscription_count() > 0

    def publish_mask(self, mask: np.ndarray, header: Header) -> None:
        self._publishers["mask"].publish(make_image(mask, "mono8", header))

    def publish_derived(
        self,
        frame: np.ndarray,
        mask: np.ndarray,
        confidence: Optional[np.ndarray],
        header: Header,
        *,
        camera_info: Optional[CameraInfo],
    ) -> None:
        """Publishes what belongs to a mask, under the same header.

        Args:
            confidence: None where it was not computed.
        """
        if camera_info is not None and self.has_subscriber("camera_info"):
            camera_info.header = header
            self._publishers["camera_info"].publish(camera_info)
        if confidence is not None:
            self._publishers["confidence"].publish(make_image(confidence, "mono8", header))
        if self.has_subscriber("color_mask"):
            self._publishers["color_mask"].publish(make_image(paint(mask, self._colors), "rgb8", header))
        if self.has_subscriber("overlay"):
            overlay = blend(frame, mask, self._colors, opacity=self._parameters["overlay_opacity"])
            self._publishers["overlay"].publish(make_image(overlay, "bgr8", header))

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
