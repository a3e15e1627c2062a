"""The demo's camera: replays the clip on /camera/image_raw at its own rate, then ends.

Prints a line "ID STAMP" for each frame sent, the stamp in nanoseconds.
"""

from __future__ import annotations

import sys
import time

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.node.fastdds import use_shared_memory
from bisenet_ros.node.image_messages import make_image
from demo.clip import RATE, frame_ids, read_image

PATIENCE = 60.0
"""Seconds to wait for the node to subscribe."""
SETTLING = 1.0
"""Seconds for Fast DDS to settle before the first frame and after the last."""


def main() -> int:
    use_shared_memory()
    rclpy.init()
    node = Node("camera")
    publisher = node.create_publisher(Image, "/camera/image_raw", qos_profile_sensor_data)
    images = [(frame_id, read_image(frame_id)) for frame_id in frame_ids()]
    if not _wait_for_subscriber(publisher):
        print(f"nobody subscribed to {publisher.topic_name} within {PATIENCE:.0f} s", file=sys.stderr)
        return 1
    # The camera knows the node a moment before the node knows it; best effort sends nothing twice.
    time.sleep(SETTLING)
    start = time.monotonic()
    for i, (frame_id, image) in enumerate(images):
        time.sleep(max(0.0, start + i / RATE - time.monotonic()))
        now = node.get_clock().now()
        publisher.publish(make_image(image, "bgr8", Header(stamp=now.to_msg(), frame_id="camera")))
        print(frame_id, now.nanoseconds, flush=True)
    time.sleep(SETTLING)  # leave once the last frame has gone
    rclpy.try_shutdown()
    return 0


def _wait_for_subscriber(publisher) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not publisher.get_subscription_count():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    sys.exit(main())
