# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is measured: a node's parameters, and the cameras and listeners around it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, Iterator, List, Tuple

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from bisenet_ros.model.input_size import CARD, Size
from bisenet_ros.node.camera_topics import COMPRESSED_SUFFIX
from bisenet_ros.node.driver.camera_player import TimedImage, TimedImages, images_at_rate
from bisenet_ros.node.driver.topics import ECHO, Topics
from bisenet_ros.node.image_messages import make_image

IMAGE_COUNT = 8
"""Synthetic images, which are sent over and over."""
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Scenario:
    """One node and what is around it.

    Attributes:
        engine: "model", or "stub": an engine that takes no time.
        size: (height, width) of the cameras' images.
        encoding: "bgr8", or "jpeg" for sensor_msgs/CompressedImage.
        outputs: the node's topics that are listened to; the mask is the first.
        reliability: that the cameras offer.
    """

    model: str
    device: str = "auto"
    precision: str = "auto"
    network_size: str = CARD
    engine: str = "model"
    size: Size = (1024, 2048)
    cameras: int = 1
    encoding: str = "bgr8"
    outputs: Tuple[str, ...] = ("mask",)
    reliability: str = "best_effort"

    def topics(self, pipeline: str) -> Topics:
        return Topics(
            cameras=("camera",) if self.cameras == 1 else tuple(f"camera_{i}" for i in range(self.cameras)),
            compressed=self.encoding == "jpeg",
            outputs=self._outputs_of(pipeline),
            reliability=self.reliability,
        )

    def _outputs_of(self, pipeline: str) -> Tuple[str, ...]:
        if pipeline == "echo":
            return (ECHO,)
        if pipeline == "plain":
            return tuple(output for output in self.outputs if not output.endswith(COMPRESSED_SUFFIX))
        return self.outputs

    def messages(self) -> List[Any]:
        """A few synthetic images."""
        return _make_messages(self.size, self.encoding)

    def images(self, *, rate: float, seconds: float) -> TimedImages:
        """What each camera publishes: those images over and over."""
        return partial(_synthetic_images, self.size, self.encoding, rate=rate, seconds=seconds)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Scenario:
        values = json.loads(text)
        return Scenario(**{**values, "size": tuple(values["size"]), "outputs": tuple(values["outputs"])})


def _synthetic_images(size: Size, encoding: str, *, rate: float, seconds: float) -> Iterator[TimedImage]:
    return images_at_rate(_make_messages(size, encoding), rate=rate, seconds=seconds)


@lru_cache(maxsize=1)
def _make_messages(size: Size, encoding: str) -> List[Any]:
    """Blurred patches of color with some noise: no two images alike, and as hard to compress as a street."""
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
