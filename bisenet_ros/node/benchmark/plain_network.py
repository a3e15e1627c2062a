"""The network as the plain pipeline runs it: its logits are resized to the frame inside the ONNX graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from bisenet_ros.engines.loader import choose_precision, installed_runtimes
from bisenet_ros.model.input_size import STRIDE, Size
from bisenet_ros.model.model_card import ModelCard


class PlainNetwork:
    """The model file in the runtime and precision that the node takes on a CPU.

    Args:
        frame_size: (height, width) that the logits are resized to.
        precision: "fp32", "bf16" or "auto".
    """

    def __init__(self, model: Path, card: ModelCard, *, frame_size: Size, precision: str) -> None:
        precision = choose_precision(model, device="cpu", precision=precision)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plain.onnx"
            onnx.save(with_resized_logits(onnx.load(model), classes=len(card.classes), frame_size=frame_size), path)
            self._engine = installed_runtimes("cpu")[0].create(path, card, precision=precision)
        self.input_size = self._engine.network_size(*frame_size)

    def logits(self, image: np.ndarray) -> np.ndarray:
        """1 x 3 x h x w float32 normalized RGB to classes x H x W float32, at the frame's size."""
        return self._engine._logits(image)[0]  # type: ignore[attr-defined]  # a CPU engine's


def with_resized_logits(model: onnx.ModelProto, *, classes: int, frame_size: Size) -> onnx.ModelProto:
    """The model with two Resize nodes behind it: x 8, then to the frame's size, both bilinear."""
    graph = model.graph
    logits = graph.output[0].name
    scales, size = [1, 1, STRIDE, STRIDE], [1, classes, *frame_size]
    graph.initializer.extend(
        [
            helper.make_tensor("plain.scales", TensorProto.FLOAT, [4], scales),
            helper.make_tensor("plain.frame_size", TensorProto.INT64, [4], size),
        ]
    )
    upsampled, resized = "plain.upsampled", "plain.logits"
    graph.node.extend(
        [
            helper.make_node("Resize", [logits, "", "plain.scales"], [upsampled], mode="linear"),
            helper.make_node("Resize", [upsampled, "", "", "plain.frame_size"], [resized], mode="linear"),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(resized, TensorProto.FLOAT, size))
    return model
