# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The baseline: segmentation as commonly written, in NumPy before and after the network."""

import tempfile
from pathlib import Path
from typing import Container, Iterator, Tuple

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

from bisenet_ros.engines.loader import installed_runtimes
from bisenet_ros.engines.precision import choose_precision
from bisenet_ros.images import OPACITY
from bisenet_ros.model.input_size import CARD, STRIDE, Size
from bisenet_ros.model.model_card import read_card


class Baseline:
    """Has the node's model, network size, and the runtime and precision that the node takes on a CPU.

    It is not slow on purpose: float32 throughout, and no loop over pixels.
    """

    def __init__(self, model: Path, *, frame_size: Size, precision: str, network_size: str = CARD) -> None:
        card = read_card(model)
        precision, model, _ = choose_precision(model, device="cpu", precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plain.onnx"
            onnx.save(with_resized_logits(onnx.load(model), classes=len(card.classes), frame_size=frame_size), path)
            runtime = installed_runtimes("cpu")[0]
            self._engine = runtime.create(path, card, precision=precision, size_choice=network_size)
        self._network_size = self._engine.network_size(*frame_size)
        self._mean, self._std = np.asarray(card.mean, np.float32), np.asarray(card.std, np.float32)
        self._colors = card.classes.color_table()

    def segment(self, frame: np.ndarray, outputs: Container[str]) -> Iterator[Tuple[str, str, np.ndarray]]:
        """H x W x 3 uint8 BGR to images of the same size: (output, encoding, pixels), the mask first."""
        logits = self.logits(frame)
        mask = logits.argmax(axis=0).astype(np.uint8)
        yield "mask", "mono8", mask
        if "confidence" in outputs:
            yield "confidence", "mono8", softmax_confidence(logits)
        if "color_mask" in outputs or "overlay" in outputs:
            colors = self._colors[mask]
        if "color_mask" in outputs:
            yield "color_mask", "rgb8", colors
        if "overlay" in outputs:
            overlay = cv2.addWeighted(colors[..., ::-1], OPACITY, frame, 1 - OPACITY, 0)
            yield "overlay", "bgr8", overlay

    def logits(self, frame: np.ndarray) -> np.ndarray:
        """H x W x 3 uint8 BGR to classes x H x W float32; the frame is converted at full size, then resized."""
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        image = cv2.resize((rgb.astype(np.float32) / 255 - self._mean) / self._std, self._network_size[::-1])
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
        return self._engine._logits(batch)[0]  # type: ignore[attr-defined]  # a CPU engine's


def softmax_confidence(logits: np.ndarray) -> np.ndarray:
    """classes x H x W to H x W uint8: the highest probability, 255 being certain."""
    exponentials = np.exp(logits - logits.max(axis=0))
    return (255 * exponentials.max(axis=0) / exponentials.sum(axis=0)).astype(np.uint8)


def with_resized_logits(model: onnx.ModelProto, *, classes: int, frame_size: Size) -> onnx.ModelProto:
    """The model with two Resize nodes behind it: x 8, then to the frame's size, both bilinear."""
    graph = model.graph
    logits, upsampled, resized = graph.output[0].name, "plain.upsampled", "plain.logits"
    scales, size = [1, 1, STRIDE, STRIDE], [1, classes, *frame_size]
    graph.initializer.append(helper.make_tensor("plain.scales", TensorProto.FLOAT, [4], scales))
    graph.initializer.append(helper.make_tensor("plain.size", TensorProto.INT64, [4], size))
    graph.node.append(helper.make_node("Resize", [logits, "", "plain.scales"], [upsampled], mode="linear"))
    graph.node.append(helper.make_node("Resize", [upsampled, "", "", "plain.size"], [resized], mode="linear"))
    graph.output[0].CopyFrom(helper.make_tensor_value_info(resized, TensorProto.FLOAT, size))
    return model
