"""What is published for one camera: the mask always, the rest while somebody listens."""

from __future__ import annotations

from typing import Any, Dict, Optional

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from bisenet_ros.images.colors import blend, paint
from bisenet_ros.node import qos
from bisenet_ros.node.image_messages import make_image

DEPTH = 5
"""Masks kept for reliable subscribers that lag for a moment; costs no latency on the publisher's side."""
TOPICS: Dict[str, Any] = {
    "mask": Image,
    "confidence": Image,
    "color_mask": Image,
    "overlay": Image,
    "camera_info": CameraInfo,
}


class CameraOutputs:
    """The publishers `mask` (mono8 ids), `confidence` (mono8), `color_mask` (rgb8), `overlay` (bgr8), `camera_info`."""

    def __init__(self, node: Node, *, prefix: str, colors: np.ndarray) -> None:
        """
        Args:
            prefix: before the topics' names, such as "front/".
            colors: 256 x 3 uint8 RGB, the color of every id.
        """
        self._node = node
        self._colors = colors
        self._publishers = {
            name: qos.create_publisher(node, kind, prefix + name, DEPTH) for name, kind in TOPICS.items()
        }

    def has_listener(self, name: str) -> bool:
        return self._publishers[name].get_subscription_count() > 0

    def publish_mask(self, labels: np.ndarray, header: Header) -> None:
        self._publishers["mask"].publish(make_image(labels, "mono8", header))

    def publish_the_rest(
        self,
        frame: np.ndarray,
        labels: np.ndarray,
        confidence: Optional[np.ndarray],
        header: Header,
        *,
        camera_info: Optional[CameraInfo],
        opacity: float,
    ) -> None:
        """What is derived from the mask, under the same header."""
        if camera_info is not None and self.has_listener("camera_info"):
            camera_info.header = header
            self._publishers["camera_info"].publish(camera_info)
        if confidence is not None:
            self._publishers["confidence"].publish(make_image(confidence, "mono8", header))
        if self.has_listener("color_mask"):
            self._publishers["color_mask"].publish(make_image(paint(labels, self._colors), "rgb8", header))
        if self.has_listener("overlay"):
            overlay = blend(frame, labels, self._colors, opacity=opacity)
            self._publishers["overlay"].publish(make_image(overlay, "bgr8", header))

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
