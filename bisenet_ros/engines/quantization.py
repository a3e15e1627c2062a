# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""int8 for TensorRT: the network with QuantizeLinear and DequantizeLinear around its convolutions (explicit QDQ)."""

import tempfile
from pathlib import Path
from typing import Dict, Iterable, Iterator, Optional

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.engine import EngineError, require_frame
from bisenet_ros.engines.tensorrt.onnx_graph import unpack_weights
from bisenet_ros.model.input_size import network_size
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import read_model

OPTIONS = {
    # What TensorRT asks for: zero points of 0, a bias that stays fp32, and weights that stay fp32 ahead of their pair.
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    # TensorRT fuses a convolution with what follows it, up to where the next one's input is quantized.
    "OpTypesToExcludeOutputQuantization": ["Conv"],
}


def quantize(model: onnx.ModelProto, card: ModelCard, frames: Iterable[np.ndarray]) -> onnx.ModelProto:
    """The network in int8: a scale for each tensor between the layers, and one for each output channel of the weights.

    A scale spans all the values that occur on the frames, which are taken one at a time and may be many. Clipping
    outliers instead scores no better (within 0.3 points of mIoU on CamVid) and needs all the tensors of all frames.

    Args:
        model: the network of a model file.
        card: the model's card.
        frames: H x W x 3 uint8 BGR, as the camera sees the road; some tens that differ are enough.

    Returns:
        A network with the same input, output and card.

    Raises:
        EngineError: there is no frame, or one is no such array.
    """
    source = onnx.ModelProto()
    source.CopyFrom(model)
    unpack_weights(source.graph)
    add_pre_process_metadata(source)  # an exported network is folded already
    calibration = _Calibration(_inputs(source.graph.input[0].name, card, frames))
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(source, given)
        quantize_static(
            given,
            made,
            calibration,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=OPTIONS,
        )
        quantized = onnx.load(made)
    del quantized.metadata_props[:]
    quantized.metadata_props.extend(model.metadata_props)
    return quantized


def quantize_file(model: Path, frames: Iterable[np.ndarray], output: Path) -> None:
    """Writes the int8 version of a model file; see `quantize`."""
    onnx.save(quantize(read_model(model), read_card(model), frames), output)


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
