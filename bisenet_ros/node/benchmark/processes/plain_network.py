"""The network as a plain pipeline runs it: with its logits resized to the frame inside the graph."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Tuple

import numpy as np
import onnx
from onnx import TensorProto, helper

from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.model.input_size import STRIDE
from bisenet_ros.model.model_card import ModelCard


class PlainNetwork:
    """The model file in the runtime and precision that the node takes on a CPU.

    Args:
        frame_size: (height, width) that the logits are resized to.
        precision: "fp32", "bf16" or "auto".
    """

    def __init__(self, model: Path, card: ModelCard, *, frame_size: Tuple[int, int], precision: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plain.onnx"
            onnx.save(with_resized_logits(onnx.load(model), classes=len(card.classes), frame_size=frame_size), path)
            self._engine = _open(path, card, precision)
        self.description = self._engine.description
        self.input_size = self._engine.network_size(*frame_size)

    def logits(self, image: np.ndarray) -> np.ndarray:
        """1 x 3 x h x w float32 normalized RGB to classes x H x W float32, at the frame's size."""
        return self._engine._logits(image)[0]


def with_resized_logits(model: onnx.ModelProto, *, classes: int, frame_size: Tuple[int, int]) -> onnx.ModelProto:
    """The model with two Resize nodes behind it: x 8, then to the frame's size, both bilinear."""
    graph = model.graph
    logits = graph.output[0].name
    graph.initializer.extend(
        [
            helper.make_tensor("plain.scales", TensorProto.FLOAT, [4], [1, 1, STRIDE, STRIDE]),
            helper.make_tensor("plain.frame_size", TensorProto.INT64, [4], [1, classes, *frame_size]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Resize", [logits, "", "plain.scales"], ["plain.upsampled"], mode="linear"),
            helper.make_node(
                "Resize", ["plain.upsampled", "", "", "plain.frame_size"], ["plain.logits"], mode="linear"
            ),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("plain.logits", TensorProto.FLOAT, [1, classes, *frame_size]))
    return model


def _open(model: Path, card: ModelCard, precision: str) -> CpuEngine:
    if not importlib.util.find_spec("openvino"):
        from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model, card)
    from bisenet_ros.engines.cpu.cpu_features import computes_in_bf16
    from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine

    automatic = "bf16" if computes_in_bf16() else "fp32"
    return OpenVinoEngine(model, card, precision=automatic if precision == "auto" else precision)
