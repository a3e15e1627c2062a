"""Whoever needs the masks, as a process: notes when which message arrives.

Says {"arrived": [[pipeline, camera, output, stamp, time], ...]}, stamp and time (monotonic, at the callback) in
nanoseconds, {"status": {name: {key: value}}, "trouble": why the node cannot run, or ""} for every message on
/diagnostics, and {"error": ...}.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from typing import Any, List, Union

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from bisenet_ros.node.benchmark.processes.json_lines import call_at_end, say
from bisenet_ros.node.benchmark.setup import ECHOED, Setup
from bisenet_ros.node.fastdds import use_shared_memory

DEPTH = 10
BATCH = 0.25
"""Seconds of arrivals that are told together."""


class Listener(Node):
    """Subscribes to all that the pipelines publish, reliably, as ROS does by default."""

    def __init__(self, setup: Setup, pipelines: List[str]) -> None:
        super().__init__("listener")
        self._size = setup.size
        self._arrived: List[Any] = []
        for pipeline in pipelines:
            for camera in setup.camera_names:
                for output in setup.outputs_of(pipeline):
                    compressed = output == ECHOED and setup.encoding == "jpeg"
                    self.create_subscription(
                        CompressedImage if compressed else Image,
                        setup.output_topic(pipeline, camera, output),
                        partial(self._note, pipeline, camera, output),
                        DEPTH,
                    )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._tell_status, DEPTH)
        self.create_timer(BATCH, self._tell)

    def _note(self, pipeline: str, camera: str, output: str, message: Union[Image, CompressedImage]) -> None:
        now = time.monotonic_ns()
        stamp = message.header.stamp
        self._arrived.append([pipeline, camera, output, stamp.sec * 10**9 + stamp.nanosec, now])
        if isinstance(message, Image) and (message.height, message.width) != self._size:
            say(error=f"{pipeline} published a {output} of {message.width} x {message.height} pixels")

    def _tell(self) -> None:
        if self._arrived:
            say(arrived=self._arrived)
            self._arrived = []

    def _tell_status(self, message: DiagnosticArray) -> None:
        troubles = [
            status.message
            for status in message.status
            if status.name.endswith(": segmentation") and status.level == DiagnosticStatus.ERROR
        ]
        values = {status.name: {entry.key: entry.value for entry in status.values} for status in message.status}
        say(status=values, trouble="; ".join(troubles))


def main(setup: str, *pipelines: str) -> int:
    use_shared_memory()
    rclpy.init(args=[])
    listener = Listener(Setup.from_json(setup), list(pipelines))
    call_at_end(rclpy.try_shutdown)
    say(ready=True)
    try:
        rclpy.spin(listener)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
