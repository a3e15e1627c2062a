# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Weights that are stored as fp16 with a Cast behind each."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from bisenet_ros.model.fp16_weights import pack_weights, unpack_weights


def model_of(**weights: np.ndarray) -> onnx.ModelProto:
    """Sums its input and all weights."""
    node = helper.make_node("Sum", ["x", *weights], ["y"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3]) for name in ("x", "y")]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([node], "sum", values[:1], values[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def run(model: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros(3, np.float32)})[0]


def test_packed_weights_are_rounded_and_computed_in_fp32():
    a, b = np.array([0.1, 1000.1, 1e-3], np.float32), np.array([1e-7, 2.0, 3.0], np.float32)
    model = model_of(a=a, b=b)
    pack_weights(model.graph)
    assert {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.FLOAT16}
    expected = a.astype(np.float16).astype(np.float32) + b.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(run(model), expected)
    unpack_weights(model.graph)
    assert [node.op_type for node in model.graph.node] == ["Sum"]
    assert {tensor.name for tensor in model.graph.initializer} == {"a", "b"}
    np.testing.assert_array_equal(run(model), expected)


def test_weights_can_be_packed_by_name():
    model = model_of(a=np.ones(3, np.float32), b=np.ones(3, np.float32))
    pack_weights(model.graph, ["b"])
    assert [tensor.name for tensor in model.graph.initializer] == ["a", "b.fp16"]
    np.testing.assert_array_equal(run(model), [2, 2, 2])
