# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The topics between cameras, a node and whoever listens to its masks."""

import json
from dataclasses import dataclass
from typing import Any, Dict, List, Tuple, Union

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.node.camera_topics import compressed_topic, image_topic, output_prefix

ECHO = "image"
"""The output of a node that publishes the camera's image again."""
CAMERA_DEPTH = 5
"""Messages, as in ROS's sensor data profile."""


@dataclass(frozen=True)
class Topics:
    """Named as the segmentation node names them.

    Attributes:
        cameras: their names.
        compressed: the cameras publish sensor_msgs/CompressedImage instead of Image.
        outputs: of the node, those that are listened to; the first is the answer to a frame.
        reliability: that the cameras offer, "reliable" or "best_effort".
    """

    cameras: Tuple[str, ...] = ("camera",)
    compressed: bool = False
    outputs: Tuple[str, ...] = ("mask",)
    reliability: str = "reliable"

    @property
    def image_type(self) -> Any:
        return CompressedImage if self.compressed else Image

    @property
    def camera_profile(self) -> QoSProfile:
        return QoSProfile(depth=CAMERA_DEPTH, reliability=ReliabilityPolicy[self.reliability.upper()])

    def image(self, camera: str) -> str:
        """The topic of a camera's images."""
        return compressed_topic(image_topic(camera)) if self.compressed else image_topic(camera)

    def output(self, camera: str, output: str) -> str:
        """The topic of what the node publishes for a camera."""
        return f"/segmentation/{output_prefix(camera, self.cameras)}{output}"

    def output_type(self, output: str) -> Any:
        if output == ECHO:
            return self.image_type
        return CompressedImage if output.endswith("/compressed") else Image

    def node_arguments(self, **parameters: Union[str, float]) -> List[str]:
        """The ROS arguments that give a node these topics and some parameters."""
        given: Dict[str, Any] = {**parameters, "transport": "compressed" if self.compressed else "raw"}
        if len(self.cameras) > 1:
            given["cameras"] = self.cameras
        # ROS reads values as YAML, of which JSON is a part.
        values = {name: json.dumps(value, ensure_ascii=False) for name, value in given.items()}
        return ["--ros-args", *(word for name, value in values.items() for word in ("-p", f"{name}:={value}"))]
