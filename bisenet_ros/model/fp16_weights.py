# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights of an ONNX model stored as fp16 with a Cast behind each: half the bytes; the arithmetic stays fp32."""

from typing import Collection, Optional

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def pack_weights(graph: onnx.GraphProto, names: Optional[Collection[str]] = None) -> None:
    """Stores fp32 weights as fp16, rounded to nearest: those of some names, or all."""
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or (names is not None and tensor.name not in names):
            continue
        name, stored = tensor.name, f"{tensor.name}.fp16"
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), stored))
        graph.node.insert(0, helper.make_node("Cast", [stored], [name], name=stored, to=TensorProto.FLOAT))


def unpack_weights(graph: onnx.GraphProto) -> None:
    """Makes fp32 weights of those that `pack_weights` has stored as fp16."""
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]
    for cast in casts:
        tensor = stored[cast.input[0]]
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, cast.output[0]))
        graph.node.remove(cast)
