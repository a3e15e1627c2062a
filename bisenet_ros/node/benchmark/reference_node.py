# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The nodes that the segmentation node is compared with, as a process: the bare echo and the baseline.

The echo publishes every image it receives again, as it is. It shows what the way of an image through two processes and
one callback takes, whatever is done with the image.
"""

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

from bisenet_ros.node.benchmark.baseline import Baseline
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.driver.topics import ECHO
from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.image_memory import keep_image_memory
from bisenet_ros.node.image_messages import make_image, read_frame

INPUT_DEPTH = 1
"""Messages; waiting images would only add to the latency."""
OUTPUT_DEPTH = 5


class ReferenceNode(Node):
    """Subscribes to the cameras and answers their images one after another: "echo" or "plain"."""

    def __init__(self, name: str, scenario: Scenario) -> None:
        super().__init__(name)
        topics = scenario.topics(name)
        if name == "plain":
            self._plain = Baseline(
                Path(scenario.model),
                frame_size=scenario.size,
                precision=scenario.precision,
                network_size=scenario.network_size,
            )
        profile = QoSProfile(depth=INPUT_DEPTH, reliability=topics.camera_profile.reliability)
        for camera in topics.cameras:
            publishers = {
                output: self.create_publisher(topics.output_type(output), topics.output(camera, output), OUTPUT_DEPTH)
                for output in topics.outputs
            }
            answer: Callable[[Any], None] = partial(self._segment, publishers)
            if name == "echo":
                answer = publishers[ECHO].publish
            self.create_subscription(topics.image_type, topics.image(camera), answer, profile)
        self.create_timer(1.0, lambda: None)  # wakes rclpy.spin, which can miss a signal while it waits for images

    def _segment(self, publishers: Dict[str, Publisher], message: Any) -> None:
        for output, encoding, pixels in self._plain.segment(read_frame(message), publishers):
            publishers[output].publish(make_image(pixels, encoding, message.header))


def main(name: str, scenario: str) -> None:
    """Runs a pipeline, whose scenario is given as JSON, until SIGINT or SIGTERM."""
    use_shared_memory()
    keep_image_memory()
    rclpy.init(args=[])
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(ReferenceNode(name, Scenario.from_json(scenario)))


if __name__ == "__main__":
    main(*sys.argv[1:])
