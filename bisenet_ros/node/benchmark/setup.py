"""What is measured, as all processes of the benchmark are told it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import List, Tuple

ENGINES = ("model", "stub")
ENCODINGS = ("bgr8", "jpeg")
RELIABILITIES = ("best_effort", "reliable")
OUTPUTS = ("mask", "confidence", "color_mask", "overlay")
"""The node's topics that can be listened to."""
ECHOED = "image"
"""The echo's only topic."""


@dataclass(frozen=True)
class Setup:
    """One node and what is around it.

    Attributes:
        engine: "model", or "stub": labels that cost nothing.
        size: (height, width) of the cameras' frames.
        encoding: "bgr8", or "jpeg" for sensor_msgs/CompressedImage.
        outputs: the topics that are listened to; "mask" is always among them.
        reliability: what the camera drivers offer.
    """

    model: str
    device: str = "auto"
    precision: str = "auto"
    engine: str = "model"
    size: Tuple[int, int] = (1024, 2048)
    cameras: int = 1
    encoding: str = "bgr8"
    outputs: Tuple[str, ...] = ("mask",)
    reliability: str = "best_effort"

    @property
    def camera_names(self) -> List[str]:
        return ["camera"] if self.cameras == 1 else [f"camera_{i}" for i in range(self.cameras)]

    def input_topic(self, pipeline: str, camera: str) -> str:
        """Each pipeline has cameras of its own, so that those whose turn it is not have nothing to do."""
        place = f"/{camera}" if pipeline == "node" else f"/{pipeline}/{camera}"
        return f"{place}/image_raw" + ("/compressed" if self.encoding == "jpeg" else "")

    def output_topic(self, pipeline: str, camera: str, output: str) -> str:
        if pipeline != "node":
            return f"/{pipeline}/{camera}/{output}"
        return f"/segmentation/{output}" if self.cameras == 1 else f"/segmentation/{camera}/{output}"

    def outputs_of(self, pipeline: str) -> Tuple[str, ...]:
        return (ECHOED,) if pipeline == "echo" else self.outputs

    def node_arguments(self, *, diagnostics_rate: float) -> List[str]:
        """The node's ROS arguments."""
        parameters = {
            "model": self.model,
            "device": self.device,
            "precision": self.precision,
            "diagnostics_rate": diagnostics_rate,
        }
        if self.cameras > 1:
            parameters["cameras"] = f"[{', '.join(self.camera_names)}]"
        if self.encoding == "jpeg":
            parameters["transport"] = "compressed"
        return ["--ros-args", *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))]

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Setup:
        values = json.loads(text)
        return Setup(**{**values, "size": tuple(values["size"]), "outputs": tuple(values["outputs"])})
