"""The cameras, as a process: publishes frames at a given rate, each under its own stamp.

Obeys {"pipeline": name, "rate": Hz, "seconds": s}; says what it sent in batches {"sent": [[camera, stamp, time], ...]},
stamp and time (monotonic, just before publishing) in nanoseconds, and {"done": true}.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, List, Union

import cv2
import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.node.benchmark.processes.json_lines import Commands, say
from bisenet_ros.node.benchmark.processes.pictures import make_pictures
from bisenet_ros.node.benchmark.setup import Setup
from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.image_messages import make_image

DEPTH = 5
"""As in ROS's sensor data profile."""
BATCH = 0.25
"""Seconds of frames that are told together."""
JPEG_QUALITY = 90


class CameraDrivers:
    """All cameras of all pipelines. The cameras of a pipeline are triggered together, as on a vehicle."""

    def __init__(self, setup: Setup, pipelines: List[str]) -> None:
        self._node = Node("camera_drivers")
        self._messages = make_messages(setup)
        profile = QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy[setup.reliability.upper()])
        self._publishers: Dict[str, Dict[str, Publisher]] = {
            pipeline: {
                camera: self._node.create_publisher(
                    type(self._messages[0]), setup.input_topic(pipeline, camera), profile
                )
                for camera in setup.camera_names
            }
            for pipeline in pipelines
        }
        self._frames = 0

    def run(self, commands: Commands, *, pipeline: str, rate: float, seconds: float) -> None:
        """Publishes until the time is over or nobody commands any more."""
        now = time.monotonic()
        due, end, told = now, now + seconds, now
        sent: List[Any] = []
        while due < end and not commands.ended.is_set():
            time.sleep(max(0.0, due - time.monotonic()))
            sent += self._trigger(self._publishers[pipeline])
            now = time.monotonic()
            # Late, a camera leaves frames out; it does not send them in a hurry.
            due = max(due + 1 / rate, now)
            if now - told > BATCH:
                say(sent=sent)
                sent, told = [], now
        say(sent=sent)
        say(done=True)

    def _trigger(self, publishers: Dict[str, Publisher]) -> List[Any]:
        message = self._messages[self._frames % len(self._messages)]
        self._frames += 1
        stamp = time.time_ns()
        message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        sent = []
        for camera, publisher in publishers.items():
            message.header.frame_id = camera
            sent.append([camera, stamp, time.monotonic_ns()])
            publisher.publish(message)
        return sent


def make_messages(setup: Setup) -> List[Union[Image, CompressedImage]]:
    pictures = make_pictures(setup.size)
    if setup.encoding == "bgr8":
        return [make_image(picture, "bgr8", Header()) for picture in pictures]
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    coded = [cv2.imencode(".jpg", picture, quality)[1].tobytes() for picture in pictures]
    return [CompressedImage(format="bgr8; jpeg compressed bgr8", data=data) for data in coded]


def main(setup: str, *pipelines: str) -> int:
    use_shared_memory()
    rclpy.init(args=[])
    drivers = CameraDrivers(Setup.from_json(setup), list(pipelines))
    commands = Commands()
    say(ready=True)
    for command in commands:
        drivers.run(commands, **command)
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
