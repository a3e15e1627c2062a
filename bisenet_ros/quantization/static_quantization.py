# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""int8: the network with QuantizeLinear and DequantizeLinear ahead of its convolutions (explicit QDQ).

One file is for CPUs and for TensorRT, which asks for most of it: opset 13, zero points of 0, a bias that stays fp32.
"""

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Collection, Dict, Iterable, Iterator, List, Optional

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.engine import EngineError, require_frame
from bisenet_ros.model.fp16_weights import pack_weights, unpack_weights
from bisenet_ros.model.input_size import Size, network_size
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.unused_constants import remove_unused_constants

OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,  # weights stay fp32 ahead of their pair
    # TensorRT fuses a convolution with what follows it, up to where the next one's input is quantized.
    "OpTypesToExcludeOutputQuantization": ["Conv"],
    # A range is the mean of the frames' own. So 99.34 % of the pixels of another drive kept their class, 99.22 % with
    # the range of all frames, 99.36 % with the ranges of least squared error, which need all tensors of all frames.
    "CalibMovingAverage": True,
}


def quantize(model: onnx.ModelProto, card: ModelCard, frames: Iterable[np.ndarray]) -> onnx.ModelProto:
    """The network in int8: a scale for each tensor ahead of a convolution, and one for each output channel of weights.

    Convolutions of the image itself stay as they are: they make half of the noise in the logits, and in int8 they would
    save 3 % of fp32's time. The steps and their numbers are in docs/training.md.

    Args:
        model: the network of a model file.
        card: the model's card.
        frames: H x W x 3 uint8 BGR, as the camera sees the road; some tens that differ are enough. They are taken one
            at a time.

    Returns:
        A network with the same input, output and card.

    Raises:
        EngineError: there is no frame, or one is no such array; the network is quantized already, or has nothing to
            quantize.
    """
    if quantized_layers(model):
        raise EngineError("the model is quantized already; give the model file that it was made from")
    source = deepcopy(model)
    unpacked_before = {tensor.name for tensor in source.graph.initializer}
    unpack_weights(source.graph)
    packed = {tensor.name for tensor in source.graph.initializer} - unpacked_before
    add_pre_process_metadata(source)  # an exported network is folded already
    image = source.graph.input[0].name
    calibration = _Calibration(_inputs(image, card, frames))
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(source, given)
        quantize_static(
            given,
            made,
            calibration,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[node.name for node in source.graph.node if node.input and node.input[0] == image],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=OPTIONS,
        )
        quantized = onnx.load(made)
    if not quantized_layers(quantized):
        raise EngineError("expected a network with convolutions behind its first one, found none to quantize")
    pack_weights(quantized.graph, packed)
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    return quantized


def name_nodes(model: onnx.ModelProto) -> None:
    """Names the nodes that have no name, in place: layers are told apart by it."""
    for number, node in enumerate(model.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


def quantized_layers(model: onnx.ModelProto) -> List[str]:
    """The names of the convolutions that are computed in int8, in order."""
    restored = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and restored.issuperset(node.input[:2])]


def unquantize(model: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """A copy of a quantized network with some of its layers, given by name, in fp32 again."""
    copy = deepcopy(model)
    graph = copy.graph
    made_by = {node.output[0]: node for node in graph.node}
    for node in graph.node:
        if node.name in layers:
            for place in range(2):  # the image and the weights, but not the bias
                restore = made_by[node.input[place]]
                node.input[place] = made_by[restore.input[0]].input[0]
    for kind in ("DequantizeLinear", "QuantizeLinear"):
        used = {name for node in graph.node for name in node.input}
        for node in [node for node in graph.node if node.op_type == kind and node.output[0] not in used]:
            graph.node.remove(node)
    remove_unused_constants(graph)
    return copy


def layer_costs(model: onnx.ModelProto, size: Size) -> Dict[str, float]:
    """Each convolution's share of the multiplications of a network that is not quantized, by its name.

    Args:
        size: (height, width) of the network's input.

    Raises EngineError where the weights of a convolution are no initializer.
    """
    copy = deepcopy(model)
    unpack_weights(copy.graph)
    for side, pixels in zip(copy.graph.input[0].type.tensor_type.shape.dim, (1, 3, *size)):
        side.dim_value = pixels
    graph = onnx.shape_inference.infer_shapes(copy, data_prop=True).graph
    weights = {tensor.name: tensor.dims for tensor in graph.initializer}
    computed = [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] not in weights]
    if computed:
        raise EngineError(
            f"expected the weights of convolutions as initializers, got those of {computed[0]} from other nodes; fold "
            "constants first, for example with onnxsim"
        )
    outputs = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    counts = {
        node.name: np.prod(weights[node.input[1]]) * np.prod([side.dim_value for side in outputs[node.output[0]][2:]])
        for node in graph.node
        if node.op_type == "Conv"
    }
    return {name: float(count / sum(counts.values())) for name, count in counts.items()}


def _inputs(name: str, card: ModelCard, frames: Iterable[np.ndarray]) -> Iterator[Dict[str, np.ndarray]]:
    """Frames as the network takes them, one at a time."""
    frame = None
    for frame in frames:
        require_frame(frame)
        size = network_size(*frame.shape[:2], trained=card.network_size)
        yield {name: normalize_frame(frame, size, mean=card.mean, std=card.std)}
    if frame is None:
        raise EngineError("expected frames to calibrate int8 with, got none; name images of the camera's own")


class _Calibration(CalibrationDataReader):
    def __init__(self, inputs: Iterator[Dict[str, np.ndarray]]) -> None:
        self._inputs = inputs

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        return next(self._inputs, None)
