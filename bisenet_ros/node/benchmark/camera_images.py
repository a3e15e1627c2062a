"""Images for the benchmark's cameras: no two alike, and as hard to compress as a street."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Iterator, List

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from bisenet_ros.model.input_size import Size
from bisenet_ros.node.driver.camera_player import TimedImage, images_at_rate
from bisenet_ros.node.image_messages import make_image

IMAGE_COUNT = 8
JPEG_QUALITY = 90


def synthetic_images(size: Size, encoding: str, *, rate: float, seconds: float) -> Iterator[TimedImage]:
    """A few images over and over.

    Args:
        encoding: "bgr8" for sensor_msgs/Image, "jpeg" for CompressedImage.
    """
    return images_at_rate(_messages(size, encoding), rate=rate, seconds=seconds)


@lru_cache(maxsize=1)
def _messages(size: Size, encoding: str) -> List[Any]:
    """Blurred patches of color with some noise."""
    height, width = size
    random = np.random.default_rng(0)
    noise = random.integers(0, 16, (height, width, 3), np.uint8)
    messages: List[Any] = []
    for _ in range(IMAGE_COUNT):
        patches = random.integers(0, 240, (max(2, height // 64), max(2, width // 64), 3), np.uint8)
        frame = cv2.add(cv2.resize(patches, (width, height), interpolation=cv2.INTER_CUBIC), noise)
        if encoding == "bgr8":
            messages.append(make_image(frame, "bgr8", Header()))
        else:
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
            messages.append(CompressedImage(format="bgr8; jpeg compressed bgr8", data=data))
    return messages
