"""A ROS node that the segmentation node is compared with, as a process."""

from __future__ import annotations

import signal
import sys
from typing import Any, Callable, Type

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile

from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.fastdds import use_shared_memory

INPUT_DEPTH = 1
"""Messages; waiting images would only add to the latency."""
OUTPUT_DEPTH = 5


class ComparedPipeline(Node):
    """Subscribes to the cameras and answers their images one after another."""

    name = ""
    """Of scenario.PIPELINES."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(self.name)
        self.scenario = scenario
        self._topics = scenario.topics(self.name)
        for camera in self._topics.cameras:
            profile = QoSProfile(depth=INPUT_DEPTH, reliability=self._topics.camera_profile.reliability)
            self.create_subscription(
                self._topics.image_type, self._topics.image(camera), self.make_callback(camera), profile
            )

    def make_callback(self, camera: str) -> Callable[[Any], None]:
        """What answers a camera's image."""
        raise NotImplementedError

    def create_output(self, camera: str, output: str) -> Any:
        topic, message_type = self._topics.output(camera, output), self._topics.output_type(output)
        return self.create_publisher(message_type, topic, OUTPUT_DEPTH)


def run_pipeline(pipeline: Type[ComparedPipeline]) -> int:
    """Runs a pipeline, whose scenario is the command line's JSON, until SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until rclpy takes over
    use_shared_memory()
    rclpy.init(args=[])
    try:
        rclpy.spin(pipeline(Scenario.from_json(sys.argv[1])))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    return 0
