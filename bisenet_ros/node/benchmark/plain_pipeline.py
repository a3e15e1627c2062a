"""The plain pipeline: segmentation as commonly written, in NumPy before and after the network, in the callback."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.model.input_size import Size
from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.benchmark.compared_pipeline import ComparedPipeline, run_pipeline
from bisenet_ros.node.benchmark.plain_network import PlainNetwork
from bisenet_ros.node.benchmark.scenario import Scenario

OVERLAY_OPACITY = 0.5


class PlainPipeline(ComparedPipeline):
    """Has the node's model, network size, runtime and precision, and publishes what is listened to, the mask first.

    It is not slow on purpose: float32 throughout, no loop over pixels, message data assigned as bytes.
    """

    name = "plain"

    def __init__(self, scenario: Scenario) -> None:
        card, model = read_card(Path(scenario.model)), Path(scenario.model)
        self._network = PlainNetwork(model, card, frame_size=scenario.size, precision=scenario.precision)
        self._mean, self._std = np.asarray(card.mean, np.float32), np.asarray(card.std, np.float32)
        self._colors = card.classes.color_table()
        super().__init__(scenario)

    def make_callback(self, camera: str) -> Callable[[Any], None]:
        return partial(self._segment, {output: self.create_output(camera, output) for output in self.scenario.outputs})

    def _segment(self, publishers: Dict[str, Any], message: Any) -> None:
        frame = self._read(message)
        image = to_input(frame, self._network.input_size, mean=self._mean, std=self._std)
        logits = self._network.logits(image)
        mask = logits.argmax(axis=0).astype(np.uint8)
        publishers["mask"].publish(make_message(mask, "mono8", message.header))
        if "confidence" in publishers:
            publishers["confidence"].publish(make_message(softmax_confidence(logits), "mono8", message.header))
        if "color_mask" in publishers or "overlay" in publishers:
            colors = self._colors[mask]
        if "color_mask" in publishers:
            publishers["color_mask"].publish(make_message(colors, "rgb8", message.header))
        if "overlay" in publishers:
            overlay = cv2.addWeighted(colors[..., ::-1], OVERLAY_OPACITY, frame, 1 - OVERLAY_OPACITY, 0)
            publishers["overlay"].publish(make_message(overlay, "bgr8", message.header))

    def _read(self, message: Any) -> np.ndarray:
        data = np.frombuffer(message.data, np.uint8)
        if self.scenario.encoding == "bgr8":
            return data.reshape(message.height, message.width, 3)
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert frame is not None  # the benchmark's own
        return frame


def to_input(frame: np.ndarray, size: Size, *, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 BGR to 1 x 3 x height x width float32: converted at full size, then resized."""
    rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    image = cv2.resize((rgb.astype(np.float32) / 255 - mean) / std, size[::-1])
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def softmax_confidence(logits: np.ndarray) -> np.ndarray:
    """classes x H x W to H x W uint8: the highest probability, 255 being certain."""
    exponentials = np.exp(logits - logits.max(axis=0))
    return (255 * exponentials.max(axis=0) / exponentials.sum(axis=0)).astype(np.uint8)


def make_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    message = Image(header=header, encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.step = pixels[0].nbytes
    message.data = pixels.tobytes()
    return message


if __name__ == "__main__":
    sys.exit(run_pipeline(PlainPipeline))
