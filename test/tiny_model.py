# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Model files with tiny networks to the logits at an eighth, for tests of everything around the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional, Tuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bisenet_ros.model.model_card import ModelCard, read_card, write_card
from bisenet_ros.model.model_file import model_sha256


def save_tiny_model(
    path: Path, card: ModelCard, *, external_data: str = "", one_weight: Optional[float] = None
) -> Path:
    """Writes a model file whose network is one convolution with a stride of 8; returns its path.

    Args:
        external_data: the name of a file beside it for the weights.
        one_weight: the value of one of the weights, such as one that is not a number.
    """
    classes = len(card.classes)
    weights = np.random.default_rng(0).standard_normal((classes, 3, 8, 8), np.float32)
    if one_weight is not None:
        weights[3, 0, 0, 0] = one_weight
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "weights"], ["logits"], strides=[8, 8], name="conv")],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("batch", 3, "height", "width"))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", classes, "height/8", "width/8"))],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    write_card(model, card)
    if external_data:
        onnx.save(model, path, save_as_external_data=True, location=external_data, size_threshold=0)
    else:
        onnx.save(model, path)
    return path


def save_stem_model(path: Path, card: ModelCard) -> Path:
    """Writes a model file whose network is like BiSeNet V2's stem block, and can be quantized; returns its path.

    After a convolution there is one beside a pooling; a third takes both of them together.
    """
    rng, classes = np.random.default_rng(0), len(card.classes)
    shapes = {"first": (8, 3, 3, 3), "branch": (8, 8, 3, 3), "fuse": (classes, 16, 3, 3)}
    weights = [numpy_helper.from_array(_weights(rng, shape), f"{name}.weight") for name, shape in shapes.items()]
    biases = [numpy_helper.from_array(_weights(rng, shape[:1]), f"{name}.bias") for name, shape in shapes.items()]
    halved = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}

    def convolution(name: str, image: str, output: str) -> onnx.NodeProto:
        return helper.make_node("Conv", [image, f"{name}.weight", f"{name}.bias"], [output], name=name, **halved)

    nodes = [
        convolution("first", "image", "first_sum"),
        helper.make_node("Relu", ["first_sum"], ["first_out"]),
        convolution("branch", "first_out", "branch_sum"),
        helper.make_node("Relu", ["branch_sum"], ["branch_out"]),
        helper.make_node("MaxPool", ["first_out"], ["pooled"], **halved),
        helper.make_node("Concat", ["branch_out", "pooled"], ["both"], axis=1),
        convolution("fuse", "both", "logits"),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ("batch", 3, "height", "width"))
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", classes, "height/8", "width/8"))
    graph = helper.make_graph(nodes, "stem", [image], [logits], [*weights, *biases])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    write_card(model, card)
    onnx.save(model, path)
    return path


def _weights(rng: np.random.Generator, shape: Tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(np.prod(shape[1:])))


def save_int8_version(model: Path, folder: Path, *, loss: Optional[float] = None, made_from: str = "") -> Path:
    """Writes NAME.int8.onnx of NAME.onnx, as precisions see it: with a node of a quantized network, and its card.

    Args:
        loss: points of mIoU on the card.
        made_from: the SHA-256 on the card instead of the model's own.
    """
    content, path = onnx.load(model), folder / f"{model.stem}.int8.onnx"
    content.graph.node.append(helper.make_node("QuantizeLinear", ["image", "scale"], ["unused"], name="q"))
    content.graph.initializer.append(numpy_helper.from_array(np.float32(0.1), "scale"))
    quantization = {"made_from_sha256": made_from or model_sha256(model), "loss_points": loss}
    write_card(content, replace(read_card(model), quantization=quantization))
    onnx.save(content, path)
    return path
