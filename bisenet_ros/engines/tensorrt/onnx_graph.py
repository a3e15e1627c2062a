# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network of a model file, and everything that is done to a frame around it, as one ONNX graph for TensorRT.

The graph is plain ONNX, which ONNX Runtime runs on the CPU. It has only what the parsers of TensorRT 8.2 to 11 take:
opset 13 (for int8 from TensorRT 11 on, 19), weights as constants, UINT8 only at the ends and next to floats, Resize by
constant scales.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple, Union

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper, version_converter

from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK, NETWORK
from bisenet_ros.model.fp16_weights import unpack_weights
from bisenet_ros.model.input_size import CARD, STRIDE, Size, network_size
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import ModelError

FRAMES, IMAGE = "frames", "image"
"""Names of the graph's input, the second with the tail "network"; the output is named after `tail`."""
TAILS = (MASK, LOGITS, NETWORK)
OPSET_OF_FP16_SCALES = 19
"""The first whose QuantizeLinear takes fp16."""
SMALLEST_SCALE = 2.0**-24
"""The smallest number of fp16 above 0. TensorRT refuses a scale of 0, to which that of a dead channel would round."""
PREFIX = "network/"
Shape = Sequence[Union[int, str]]
"""With a name for a dimension that changes."""


def wrap_network(
    model: onnx.ModelProto,
    card: ModelCard,
    *,
    frame_size: Size,
    max_batch: int = 1,
    half: bool = False,
    tail: str = MASK,
    size_choice: str = CARD,
    uint8: bool = True,
) -> onnx.ModelProto:
    """A graph from "frames", N x H x W x 3 uint8 BGR, to one of two outputs.

    With the tail "mask": N x H x W uint8, the argmax of the logits upsampled bilinearly x8, then to the frame's size;
    ties go to the lower id. With the tail "logits": N x classes x h/8 x w/8 float32, where h x w is the network's size.
    The tail "network" is for timing: from "image", N x 3 x h x w float32, normalized already, to the logits.

    Args:
        model: the network of a model file, its weights in fp32 or in fp16 with a Cast behind each.
        card: the model's card.
        frame_size: (height, width) of the frames.
        max_batch: at 1 N is 1, above it N is dynamic.
        half: the network computes in fp16, with everything around it in fp32: as TensorRT from 11 on wants it. Of a
            quantized network that is what lies between its int8 parts.
        tail: "mask", "logits" or "network".
        size_choice: the size that frames have for the network, a `choice` of `network_size`.
        uint8: False for TensorRT before 8.5, which lacks the type: then frames are float32 of 0 to 255, masks int32.

    Raises:
        ModelError: the model has other inputs and outputs than an image and logits, or does not go with `half`.
        ValueError: an unknown tail, a batch or a size below 1.
    """
    if tail not in TAILS:
        raise ValueError(f"tail must be one of {', '.join(TAILS)}, got {tail!r}")
    if max_batch < 1 or min(frame_size) < 1:
        raise ValueError(f"max_batch and frame_size must be at least 1, got {max_batch} and {frame_size}")
    model, network = _read_network(model, half=half)
    size = network_size(*frame_size, trained=card.network_size, choice=size_choice)
    small = (size[0] // STRIDE, size[1] // STRIDE)
    batch = 1 if max_batch == 1 else "batch"
    graph = _Graph()
    if tail == NETWORK:
        image = graph.add_input(IMAGE, TensorProto.FLOAT, (batch, 3, *size))
    else:
        kind = TensorProto.UINT8 if uint8 else TensorProto.FLOAT
        frames = graph.add_input(FRAMES, kind, (batch, *frame_size, 3))
        image = _add_normalization(graph, graph.resize(_add_planes(graph, frames), frame_size, size), card)
    graph.add("Cast", image, to=TensorProto.FLOAT16 if half else TensorProto.FLOAT, output=network.input[0].name)
    graph.include(network)
    logits = graph.add("Cast", network.output[0].name, to=TensorProto.FLOAT, output=LOGITS)
    if tail == MASK:
        kind = TensorProto.UINT8 if uint8 else TensorProto.INT32
        _add_mask(graph, graph.resize(graph.resize(logits, small, size), size, frame_size), kind)
        graph.add_output(MASK, kind, (batch, *frame_size))
    else:
        graph.add_output(LOGITS, TensorProto.FLOAT, (batch, len(card.classes), *small))
    return graph.to_model(card.name, like=model)


def _read_network(model: onnx.ModelProto, *, half: bool) -> Tuple[onnx.ModelProto, onnx.GraphProto]:
    """The model, in a newer opset where it must be, and its network with names of its own, in fp16 or fp32."""
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if half and quantized:
        model = version_converter.convert_version(model, OPSET_OF_FP16_SCALES)
    network = compose.add_prefix(model, PREFIX).graph
    if len(network.input) != 1 or len(network.output) != 1:
        raise ModelError(
            f"expected a network from one image to logits, got {len(network.input)} inputs and "
            f"{len(network.output)} outputs; make the model with `bisenet export`"
        )
    unpack_weights(network)
    if half:
        _to_half(network)
    return model, network


def _add_planes(graph: _Graph, frames: str) -> str:
    """N x H x W x 3 to N x 3 x H x W float32."""
    return graph.add("Transpose", graph.add("Cast", frames, to=TensorProto.FLOAT), perm=(0, 3, 1, 2))


def _add_normalization(graph: _Graph, image: str, card: ModelCard) -> str:
    """N x 3 x h x w BGR of 0 to 255 to normalized RGB.

    A 1x1 convolution swaps the channels too: to each it gives one other, and zeros.
    """
    mean, std = np.asarray(card.mean), np.asarray(card.std)
    weights = np.diag(1 / (255 * std))[:, ::-1, None, None].astype(np.float32)
    offset = (-mean / std).astype(np.float32)
    return graph.add("Conv", image, graph.constant(weights), graph.constant(offset))


def _add_mask(graph: _Graph, logits: str, kind: int) -> None:
    """N x classes x H x W to N x H x W; TensorRT casts only floats to uint8."""
    mask = graph.add("ArgMax", logits, axis=1, keepdims=0)
    if kind == TensorProto.UINT8:
        mask = graph.add("Cast", mask, to=TensorProto.FLOAT)
    graph.add("Cast", mask, to=kind, output=MASK)


def _to_half(graph: onnx.GraphProto) -> None:
    """Makes a network of fp32 one of fp16: its weights, its constants and its Casts."""
    quantizers = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    scales = {node.input[1] for node in quantizers}
    for tensor in graph.initializer:
        _tensor_to_half(tensor, least=SMALLEST_SCALE if tensor.name in scales else None)
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                _tensor_to_half(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    del graph.value_info[:]


def _tensor_to_half(tensor: onnx.TensorProto, *, least: Optional[float] = None) -> None:
    if tensor.data_type != TensorProto.FLOAT:
        return
    values = numpy_helper.to_array(tensor)
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise ModelError(f"the weights of {tensor.name} reach beyond fp16, whose largest value is 65504; choose fp32")
    if least is not None:
        values = np.maximum(values, least)
    tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))


class _Graph:
    """Nodes in the order in which they are added, their constants, and the graph's inputs and outputs."""

    def __init__(self) -> None:
        self._nodes: List[onnx.NodeProto] = []
        self._constants: List[onnx.TensorProto] = []
        self._inputs: List[onnx.ValueInfoProto] = []
        self._outputs: List[onnx.ValueInfoProto] = []

    def add_input(self, name: str, kind: int, shape: Shape) -> str:
        """Adds a graph input and returns its name."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def add_output(self, name: str, kind: int, shape: Shape) -> None:
        """Names what is an output of a node, or will be."""
        self._outputs.append(helper.make_tensor_value_info(name, kind, shape))

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node; its output's name."""
        output = output or f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def include(self, graph: onnx.GraphProto) -> None:
        """Adds another graph's nodes and constants."""
        self._nodes.extend(graph.node)
        self._constants.extend(graph.initializer)

    def constant(self, values: np.ndarray) -> str:
        name = f"Constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def resize(self, image: str, have: Size, want: Size) -> str:
        """N x C x height x width, bilinear with half-pixel centers: torch's align_corners=False.

        By scales, which are constants whatever N is; sizes would not be.
        """
        if have == want:
            return image
        scales = np.array([1, 1, *map(_scale, have, want)], np.float32)
        options = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.add("Resize", image, "", self.constant(scales), **options)

    def to_model(self, name: str, *, like: onnx.ModelProto) -> onnx.ModelProto:
        """The graph as a model in another's versions of ONNX."""
        graph = helper.make_graph(self._nodes, name, self._inputs, self._outputs, initializer=self._constants)
        return helper.make_model(graph, opset_imports=like.opset_import, ir_version=like.ir_version)


def _scale(have: int, want: int) -> np.float32:
    """want / have in float32, never below it: a runtime takes floor(have * scale) for the size."""
    scale = np.float32(want / have)
    return scale if float(scale) * have >= want else np.nextafter(scale, np.float32(np.inf))
