"""The floor: a bare rclpy node that publishes every image it receives once more, as it is."""

from __future__ import annotations

import sys

from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.node.benchmark.processes.pipeline_process import Pipeline, run_pipeline
from bisenet_ros.node.benchmark.setup import ECHOED, Setup


class EchoPipeline(Pipeline):
    """What a frame's way through two processes and one callback costs, whatever happens to it."""

    def __init__(self, setup: Setup) -> None:
        super().__init__("echo", setup)
        message_type = CompressedImage if setup.encoding == "jpeg" else Image
        for camera in setup.camera_names:
            self.subscribe(camera, self.create_output(message_type, camera, ECHOED).publish)


if __name__ == "__main__":
    sys.exit(run_pipeline(EchoPipeline, sys.argv[1]))
