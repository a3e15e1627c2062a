# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is published for one camera: the mask always, the other topics while somebody subscribes."""

from typing import Dict

import numpy as np
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.images.colors import blend, paint
from bisenet_ros.images.compression import encode_color_mask, encode_jpeg
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.node import qos
from bisenet_ros.node.camera_topics import output_prefix, resolve_topic
from bisenet_ros.node.image_messages import ReusedImage, make_compressed_image
from bisenet_ros.node.parameters import Parameters

DEPTH = 5
"""Messages kept for reliable subscribers that fall behind for a moment; the publisher does not wait for them."""
PICTURE_TOPICS = {
    "color_mask": Image,
    "color_mask/compressed": CompressedImage,
    "overlay": Image,
    "overlay/compressed": CompressedImage,
}
"""For people to look at, with their types."""
OUTPUT_TOPICS = {"mask": Image, "confidence": Image, **PICTURE_TOPICS, "camera_info": CameraInfo}


class CameraOutputs:
    """The publishers of one camera's topics.

    `mask` (mono8 ids), `confidence` (mono8), `color_mask` (rgb8) and `overlay` (bgr8), these two also compressed (PNG
    and JPEG), and `camera_info`. The images' memory is used again for every frame, so that each method is for one
    thread.

    Args:
        info_topic: of the camera's own camera_info. Where the node is in the camera's namespace, its own would be the
            same topic, and is not published: its subscribers would get each message twice.
    """

    def __init__(self, node: Node, parameters: Parameters, camera: str, *, classes: ClassMap, info_topic: str) -> None:
        prefix = output_prefix(camera, parameters["cameras"])
        self._node = node
        self._parameters = parameters
        self._colors = classes.color_table()
        self._mask, self._confidence = ReusedImage("mono8", channels=1), ReusedImage("mono8", channels=1)
        self._color_mask, self._overlay = ReusedImage("rgb8", channels=3), ReusedImage("bgr8", channels=3)
        self._publishers: Dict[str, Publisher] = {}
        try:
            for name, message_type in OUTPUT_TOPICS.items():
                if resolve_topic(node, prefix + name) != info_topic:
                    self._publishers[name] = qos.create_publisher(node, message_type, prefix + name, DEPTH)
        except BaseException:
            self.close()
            raise

    def has_subscriber(self, *names: str) -> bool:
        """Whether somebody subscribes to one of these topics."""
        return any(self._publishers[name].get_subscription_count() > 0 for name in names)

    def publish_mask(self, mask: np.ndarray, header: Header) -> None:
        self._publishers["mask"].publish(self._mask.filled(mask, header))

    def publish_camera_info(self, camera_info: CameraInfo, header: Header) -> None:
        """Publishes the camera's calibration under the header of a mask, which it gets."""
        if "camera_info" in self._publishers and self.has_subscriber("camera_info"):
            camera_info.header = header
            self._publishers["camera_info"].publish(camera_info)

    def publish_confidence(self, confidence: np.ndarray, header: Header) -> None:
        self._publishers["confidence"].publish(self._confidence.filled(confidence, header))

    def publish_pictures(self, frame: np.ndarray, mask: np.ndarray, header: Header) -> None:
        """Draws and publishes those of PICTURE_TOPICS that have a subscriber."""
        if self.has_subscriber("color_mask"):
            paint(mask, self._colors, out=self._color_mask.pixels(*mask.shape))
            self._publishers["color_mask"].publish(self._color_mask.under(header))
        if self.has_subscriber("color_mask/compressed"):
            png = encode_color_mask(mask, self._colors)
            message = make_compressed_image(png, "rgb8; png compressed bgr8", header)
            self._publishers["color_mask/compressed"].publish(message)
        if self.has_subscriber("overlay", "overlay/compressed"):
            overlay = self._overlay.pixels(*mask.shape)
            blend(frame, mask, self._colors, opacity=self._parameters["overlay_opacity"], out=overlay)
            if self.has_subscriber("overlay"):
                self._publishers["overlay"].publish(self._overlay.under(header))
            if self.has_subscriber("overlay/compressed"):
                message = make_compressed_image(encode_jpeg(overlay), "bgr8; jpeg compressed bgr8", header)
                self._publishers["overlay/compressed"].publish(message)

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
