"""What is measured: a node's parameters, and the cameras and listeners around it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import List, Tuple

from bisenet_ros.model.input_size import Size
from bisenet_ros.node.benchmark.camera_images import synthetic_images
from bisenet_ros.node.driver.camera_player import FrameSource
from bisenet_ros.node.driver.topics import ECHO, Topics

DIAGNOSTICS_RATE = 4.0
"""Hz."""


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
            outputs=(ECHO,) if pipeline == "echo" else self.outputs,
            reliability=self.reliability,
        )

    def images(self, *, rate: float, seconds: float) -> FrameSource:
        """What each camera publishes."""
        return partial(synthetic_images, self.size, self.encoding, rate=rate, seconds=seconds)

    def node_arguments(self) -> List[str]:
        """The node's ROS arguments."""
        parameters = {"model": self.model, "device": self.device, "precision": self.precision}
        return self.topics("node").node_arguments(**parameters, diagnostics_rate=str(DIAGNOSTICS_RATE))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Scenario:
        values = json.loads(text)
        return Scenario(**{**values, "size": tuple(values["size"]), "outputs": tuple(values["outputs"])})
