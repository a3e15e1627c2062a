# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A model file whose network is one convolution with a stride of 8, for tests of everything around the network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bisenet_ros.model.model_card import ModelCard, write_card


def save_tiny_model(path: Path, card: ModelCard, *, external_data: str = "") -> Path:
    """Writes the model file; returns its path.

    Args:
        external_data: the name of a file beside it for the weights.
    """
    classes = len(card.classes)
    weights = np.random.default_rng(0).standard_normal((classes, 3, 8, 8), np.float32)
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
