"""A segmentation pipeline as people write it: NumPy before and after the network, all in the callback."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, Dict, Tuple

import cv2
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.benchmark.processes.pipeline_process import Pipeline, run_pipeline
from bisenet_ros.node.benchmark.processes.plain_network import PlainNetwork
from bisenet_ros.node.benchmark.setup import Setup

OPACITY = 0.5


class PlainPipeline(Pipeline):
    """Plain, but not silly: float32 throughout, no loop over pixels, data assigned as bytes, the mask sent first.

    It does for the topics that are listened to what the node does: the same model, network size, runtime and
    precision.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__("plain", setup)
        card = read_card(Path(setup.model))
        self._network = PlainNetwork(Path(setup.model), card, frame_size=setup.size, precision=setup.precision)
        self._mean, self._std = np.asarray(card.mean, np.float32), np.asarray(card.std, np.float32)
        self._colors = card.classes.color_table()
        for camera in setup.camera_names:
            publishers = {output: self.create_output(Image, camera, output) for output in setup.outputs}
            self.subscribe(camera, partial(self._segment, publishers))

    def _segment(self, publishers: Dict[str, Any], message: Any) -> None:
        frame = self._read(message)
        image = to_input(frame, self._network.input_size, mean=self._mean, std=self._std)
        logits = self._network.logits(image)
        labels = logits.argmax(axis=0).astype(np.uint8)
        publishers["mask"].publish(make_message(labels, "mono8", message.header))
        if "confidence" in publishers:
            publishers["confidence"].publish(make_message(softmax_confidence(logits), "mono8", message.header))
        if "color_mask" in publishers or "overlay" in publishers:
            colors = self._colors[labels]
        if "color_mask" in publishers:
            publishers["color_mask"].publish(make_message(colors, "rgb8", message.header))
        if "overlay" in publishers:
            overlay = cv2.addWeighted(colors[..., ::-1], OPACITY, frame, 1 - OPACITY, 0)
            publishers["overlay"].publish(make_message(overlay, "bgr8", message.header))

    def _read(self, message: Any) -> np.ndarray:
        data = np.frombuffer(message.data, np.uint8)
        if self.setup.encoding == "jpeg":
            frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
            assert frame is not None  # the cameras' own
            return frame
        return data.reshape(message.height, message.width, 3)


def to_input(frame: np.ndarray, size: Tuple[int, int], *, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 BGR to 1 x 3 x height x width float32: converted at full size, then resized."""
    rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    image = cv2.resize((rgb.astype(np.float32) / 255 - mean) / std, size[::-1])
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def softmax_confidence(logits: np.ndarray) -> np.ndarray:
    """classes x H x W to H x W uint8: the highest probability, 255 being certain."""
    shares = np.exp(logits - logits.max(axis=0))
    return (255 * shares.max(axis=0) / shares.sum(axis=0)).astype(np.uint8)


def make_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    message = Image(header=header, encoding=encoding, height=pixels.shape[0], width=pixels.shape[1])
    message.step = pixels[0].nbytes
    message.data = pixels.tobytes()
    return message


if __name__ == "__main__":
    sys.exit(run_pipeline(PlainPipeline, sys.argv[1]))
