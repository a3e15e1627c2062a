# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""int8: what the QDQ network holds, and how it scores."""

from __future__ import annotations

from copy import deepcopy
from typing import Dict, Tuple

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from tiny_model import save_stem_model, save_tiny_model

from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.cpu.uint8_activations import use_uint8_activations
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.loader import installed_runtimes
from bisenet_ros.engines.tensorrt.onnx_graph import wrap_network
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.model.fp16_weights import unpack_weights
from bisenet_ros.model.model_card import read_card
from bisenet_ros.quantization.static_quantization import (
    _Calibration,
    _inputs,
    layer_costs,
    name_nodes,
    quantize,
    quantized_layers,
    unquantize,
)
from demo.clip import frame_ids, read_ground_truth, read_image

CALIBRATION, EVALUATION = frame_ids()[3::50], frame_ids()[::30]


@pytest.fixture(scope="module")
def shipped(shipped_model):
    return onnx.load(shipped_model)


@pytest.fixture(scope="module")
def card(shipped_model):
    return read_card(shipped_model)


@pytest.fixture(scope="module")
def quantized(shipped, card) -> onnx.ModelProto:
    """Seconds, most of them the library's; so it is made once."""
    return quantize(shipped, card, (read_image(frame_id) for frame_id in CALIBRATION))


def score(model, card) -> float:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    confusion = np.zeros((len(card.classes), len(card.classes)), np.int64)
    for frame_id in EVALUATION:
        frame = read_image(frame_id)
        image = normalize_frame(frame, card.network_size, mean=card.mean, std=card.std)
        mask = upsample_logits(session.run(None, {"image": image})[0][0], frame.shape[:2]).mask
        confusion += confusion_matrix(read_ground_truth(frame_id), mask, classes=len(card.classes))
    return mean_iou(confusion)


def test_calibration_sees_frames_at_the_network_s_size(card):
    """Enlarged, and as an engine normalizes them."""
    frame = read_image(CALIBRATION[0])[:120, :160]
    calibration = _Calibration(_inputs("image", card, [frame]))
    (image,) = calibration.get_next().values()
    assert image.shape == (1, 3, *card.network_size)
    assert np.array_equal(image, normalize_frame(frame, card.network_size, mean=card.mean, std=card.std))
    assert calibration.get_next() is None


def test_int8_agrees_with_fp32_on_enlarged_frames(shipped, quantized, card):
    frames = np.stack([cv2.resize(read_image(frame_id), (160, 120)) for frame_id in EVALUATION])
    fp32, int8 = (
        onnxruntime.InferenceSession(
            wrap_network(network, card, frame_size=(120, 160), max_batch=len(frames)).SerializeToString(),
            providers=["CPUExecutionProvider"],
        ).run(None, {"frames": frames})[0]
        for network in (shipped, quantized)
    )
    assert np.mean(fp32 == int8) >= 0.95


def test_int8_costs_less_than_a_point_of_miou(shipped, quantized, card):
    before, after = score(shipped, card), score(quantized, card)
    assert before > 0.5 and after > before - 0.01
    assert after != before, "nothing was quantized"


def test_quantization_is_symmetric_and_leaves_the_bias(quantized):
    quantized = onnx.ModelProto.FromString(quantized.SerializeToString())
    unpack_weights(quantized.graph)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    made_by = {node.output[0]: node for node in quantized.graph.node}
    convolutions = {node.name: node for node in quantized.graph.node if node.op_type == "Conv"}
    layers = quantized_layers(quantized)
    unquantized = [node.input[0] for name, node in convolutions.items() if name not in layers]
    assert len(layers) > 50 and unquantized == ["image", "image"]
    for node in map(convolutions.get, layers):
        for name in node.input[:2]:
            restore = made_by[name]
            pair = made_by[restore.input[0]]
            assert (pair.op_type, restore.op_type) == ("QuantizeLinear", "DequantizeLinear")
            zero_point = constants[pair.input[2]]
            assert zero_point.dtype == np.int8 and not zero_point.any()
        image, weights = (made_by[name].input[1] for name in node.input[:2])
        assert constants[image].ndim == 0
        assert constants[weights].shape == constants[node.input[2]].shape, "a scale for each output channel"
        assert constants[node.input[2]].dtype == np.float32, "the bias"


def test_the_quantized_network_is_a_model_file(tmp_path, shipped, quantized, card):
    onnx.checker.check_model(quantized, full_check=True)
    assert [entry.version for entry in quantized.opset_import if not entry.domain] == [13]
    onnx.save(quantized, tmp_path / "int8.onnx")
    assert read_card(tmp_path / "int8.onnx") == card
    assert quantized.ByteSize() < 1.05 * shipped.ByteSize(), "its weights are fp16, as the model's"


def test_the_quantized_network_can_be_wrapped(quantized, card):
    wrapped = wrap_network(quantized, card, frame_size=(480, 640), max_batch=2)
    onnx.checker.check_model(wrapped, full_check=True)
    assert wrapped.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8


def test_between_its_int8_parts_the_network_may_be_fp16(quantized, card):
    """As TensorRT 11 takes it, whose flag for that is gone; ONNX Runtime computes the same but for rounding."""
    frames = read_image(CALIBRATION[0])[None]
    logits = []
    for half in (False, True):
        wrapped = wrap_network(quantized, card, frame_size=frames.shape[1:3], half=half, tail="logits")
        onnx.checker.check_model(wrapped, full_check=True)
        assert wrapped.opset_import[0].version == (19 if half else 13)
        kinds = {t.data_type for t in wrapped.graph.initializer if t.name.startswith("network/")}
        assert (TensorProto.FLOAT in kinds, TensorProto.FLOAT16 in kinds) == (not half, half)
        session = onnxruntime.InferenceSession(wrapped.SerializeToString(), providers=["CPUExecutionProvider"])
        logits.append(session.run(None, {"frames": frames})[0])
    assert np.mean(logits[0].argmax(1) == logits[1].argmax(1)) >= 0.99


def test_layers_can_be_left_in_fp32(quantized):
    layers = quantized_layers(quantized)
    fewer = unquantize(quantized, layers[1:3])
    assert quantized_layers(fewer) == [layers[0], *layers[3:]] and quantized_layers(quantized) == layers
    onnx.checker.check_model(fewer, full_check=True)
    assert not quantized_layers(unquantize(quantized, layers))


def test_the_cost_of_a_layer_is_its_share_of_the_multiplications(shipped, tmp_path, card):
    """Counted by hand: 3 x 3 kernels; 8 x 3, 8 x 8 and 11 x 16 channels; at a half, a quarter and an eighth."""
    counts = np.array([8 * 3 * 16, 8 * 8 * 4, 11 * 16])
    costs = layer_costs(onnx.load(save_stem_model(tmp_path / "stem.onnx", card)), (64, 96))
    assert list(costs) == ["first", "branch", "fuse"]
    assert list(costs.values()) == pytest.approx(counts / counts.sum())
    assert (
        max(layer_costs(shipped, card.network_size).items(), key=lambda item: item[1])[0]
        == "/detail/s1/s1.1/s1.1.0/Conv"
    )


def test_tensors_behind_a_relu_are_unsigned_on_a_cpu(quantized):
    before, copy = quantizers(quantized), deepcopy(quantized)
    use_uint8_activations(copy)
    onnx.checker.check_model(copy, full_check=True)
    after = quantizers(copy)
    changed = {name for name, (_, zero_point) in after.items() if zero_point.dtype == np.uint8}
    assert "/semantics/stem/Concat_output_0" in changed, "of a ReLU and a MaxPool behind a ReLU"
    assert "/head/convolution/convolution.2/Relu_output_0" in changed
    assert "/aggregation/Add_output_0" not in changed
    for name, (scale, _) in after.items():
        assert scale * (255 if name in changed else 127) == pytest.approx(before[name][0] * 127), "the range stays"


def quantizers(model: onnx.ModelProto) -> Dict[str, Tuple[np.ndarray, np.ndarray]]:
    """Scale and zero point of each tensor that is quantized."""
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    return {node.input[0]: (constants[node.input[1]], constants[node.input[2]]) for node in nodes}


def test_constants_that_tensors_share_stay_those_of_the_others(quantized):
    """As onnxsim makes one of equal zero points."""
    copy = deepcopy(quantized)
    scalars = {
        tensor.name for tensor in copy.graph.initializer if tensor.data_type == TensorProto.INT8 and not tensor.dims
    }
    copy.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.int8), "shared"))
    for node in copy.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[2] in scalars:
            node.input[2] = "shared"
    use_uint8_activations(copy)
    onnx.checker.check_model(copy, full_check=True)
    found = quantizers(copy)
    assert found["/aggregation/Add_output_0"][1].dtype == np.int8
    assert found["/semantics/stem/Concat_output_0"][1].dtype == np.uint8


def test_nodes_without_names_get_some(tmp_path, card):
    model = onnx.load(save_stem_model(tmp_path / "stem.onnx", card))
    for node in model.graph.node:
        node.name = ""
    name_nodes(model)
    names = [node.name for node in model.graph.node]
    assert all(names) and len({*names}) == len(names)
    assert len(quantized_layers(quantize(model, card, [read_image(CALIBRATION[0])]))) == 2


def test_weights_that_are_computed_are_refused(tmp_path, card):
    model = onnx.load(save_stem_model(tmp_path / "stem.onnx", card))
    weights = next(node for node in model.graph.node if node.op_type == "Conv").input[1]
    tensor = next(it for it in model.graph.initializer if it.name == weights)
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [weights], value=tensor))
    model.graph.initializer.remove(tensor)
    with pytest.raises(EngineError, match="the weights of convolutions as initializers, got those of first from other"):
        layer_costs(model, (64, 96))


@pytest.mark.parametrize("runtime", ["OpenVINO", "ONNX Runtime"])
def test_every_runtime_of_the_cpu_computes_int8_rightly(tmp_path, card, runtime):
    """OpenVINO did not, where a convolution follows a Concat of two int8 tensors; see uint8_activations.py."""
    runtimes = {found.name: found for found in installed_runtimes("cpu")}
    if runtime not in runtimes:
        pytest.skip(f"{runtime} is not installed")
    plain, frame = save_stem_model(tmp_path / "stem.onnx", card), read_image(CALIBRATION[0])
    onnx.save(quantize(onnx.load(plain), card, [frame]), tmp_path / "stem.int8.onnx")
    int8 = runtimes[runtime].create(tmp_path / "stem.int8.onnx", card, precision="int8")
    fp32 = runtimes[runtime].create(plain, card, precision="fp32")
    expected = fp32.frame_logits(frame, card.network_size).copy()
    error = int8.frame_logits(frame, card.network_size) - expected
    assert 0 < np.std(error) < 0.02 * np.std(expected)


def test_a_network_that_cannot_be_quantized_is_refused(tmp_path, quantized, card):
    frame = read_image(CALIBRATION[0])
    with pytest.raises(EngineError, match="is quantized already; give the model file that it was made from"):
        quantize(quantized, card, [frame])
    with pytest.raises(EngineError, match="convolutions behind its first one, found none"):
        quantize(onnx.load(save_tiny_model(tmp_path / "tiny.onnx", card)), card, [frame])


@pytest.mark.parametrize("frames, reason", [([], "got none"), ([np.zeros((8, 8), np.uint8)], r"got \(8, 8\) uint8")])
def test_calibration_without_frames_is_refused(shipped, card, frames, reason):
    with pytest.raises(ValueError, match=reason):
        quantize(shipped, card, frames)


def test_tensorrt_builds_an_int8_plan(tmp_path, card):
    """TensorRT for RTX builds without a GPU; of a narrow network, as the shipped one takes it half a minute."""
    torch = pytest.importorskip("torch")
    tensorrt_rtx = pytest.importorskip("tensorrt_rtx")
    from bisenet_training.export import export

    from bisenet_ros.engines.tensorrt.api import TensorRt
    from bisenet_ros.network import BiSeNetV2

    torch.manual_seed(0)
    export(BiSeNetV2(classes=11, width=0.25, head_width=32), card, tmp_path / "model.onnx")
    quantized = quantize(onnx.load(tmp_path / "model.onnx"), card, [read_image(CALIBRATION[0])])
    wrapped = wrap_network(quantized, card, frame_size=(480, 640))
    assert TensorRt(tensorrt_rtx).build(wrapped.SerializeToString(), precision="int8", max_batch=1).plan
