# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is published for one camera: the mask always, the other topics while somebody subscribes."""

from typing import Optional

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.node import qos
from bisenet_ros.node.camera_topics import output_prefix
from bisenet_ros.node.image_messages import make_image
from bisenet_ros.node.parameters import Parameters

DEPTH = 5
"""Messages kept for reliable subscribers that fall behind for a moment; the publisher does not wait for them."""
IMAGE_TOPICS = ("mask", "confidence", "color_mask", "overlay")


class CameraOutputs:
    """The publishers `mask` (mono8 ids), `confidence` (mono8), `color_mask` (rgb8), `overlay` (bgr8), `camera_info`.

    Attributes:
        camera_info: that of the camera, published again with every mask; None if there is none.
    """

    def __init__(self, node: Node, parameters: Parameters, camera: str, *, classes: ClassMap) -> None:
        prefix = output_prefix(camera, parameters["cameras"])
        self.camera_info: Optional[CameraInfo] = None
        self._node = node
        self._parameters = parameters
        self._colors = classes.color_table()
        self._publishers = {name: qos.create_publisher(node, Image, prefix + name, DEPTH) for name in IMAGE_TOPICS}
        self._publishers["camera_info"] = qos.create_publisher(node, CameraInfo, f"{prefix}camera_info", DEPTH)

    def has_subscriber(self, name: str) -> bool:
        return self._publishers[name].get_subscription_count() > 0

    def publish_mask(self, mask: np.ndarray, header: Header) -> None:
        self._publishers["mask"].publish(make_image(mask, "mono8", header))

    def publish_derived(
        self, frame: np.ndarray, mask: np.ndarray, confidence: Optional[np.ndarray], header: Header
    ) -> None:
        """Publishes what belongs to a mask, under the same header; `confidence` is None where it was not computed."""
        camera_info = self.camera_info
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
