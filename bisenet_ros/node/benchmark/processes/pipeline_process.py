"""A pipeline to compare the node with, as a process."""

from __future__ import annotations

from typing import Any, Callable

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.node.benchmark.processes.json_lines import call_at_end, say
from bisenet_ros.node.benchmark.setup import Setup
from bisenet_ros.node.fastdds import use_shared_memory

INPUT_PROFILE_DEPTH = 1
"""As the node's: a backlog of frames would only add to the latency."""
OUTPUT_DEPTH = 5


class Pipeline(Node):
    """Subscribes to its cameras and has their images one after another.

    Its subclasses' publishers are made by `create_output`.
    """

    def __init__(self, name: str, setup: Setup) -> None:
        super().__init__(name)
        self.setup = setup
        self._pipeline = name

    def create_output(self, message_type: Any, camera: str, output: str) -> Any:
        return self.create_publisher(
            message_type, self.setup.output_topic(self._pipeline, camera, output), OUTPUT_DEPTH
        )

    def subscribe(self, camera: str, callback: Callable[[Any], None]) -> None:
        self.create_subscription(
            CompressedImage if self.setup.encoding == "jpeg" else Image,
            self.setup.input_topic(self._pipeline, camera),
            callback,
            QoSProfile(depth=INPUT_PROFILE_DEPTH, reliability=ReliabilityPolicy[self.setup.reliability.upper()]),
        )


def run_pipeline(create: Callable[[Setup], Pipeline], setup: str) -> int:
    """Runs a pipeline until whoever started it closes its input."""
    use_shared_memory()
    rclpy.init(args=[])
    pipeline = create(Setup.from_json(setup))
    call_at_end(rclpy.try_shutdown)
    say(ready=True)
    try:
        rclpy.spin(pipeline)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    return 0
