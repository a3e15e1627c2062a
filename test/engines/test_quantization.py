# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""int8: what the QDQ network holds, and how it scores."""

from __future__ import annotations

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from bisenet_ros.engines.cpu.postprocess import upsample_mask
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.quantization import _Calibration, _inputs, quantize
from bisenet_ros.engines.tensorrt.onnx_graph import wrap_network
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.model.model_card import ModelError, read_card
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
        image = normalize_frame(read_image(frame_id), card.network_size, mean=card.mean, std=card.std)
        mask = upsample_mask(session.run(None, {"image": image})[0][0], card.network_size)
        confusion += confusion_matrix(read_ground_truth(frame_id), mask, classes=len(card.classes))
    return mean_iou(confusion)


def test_calibration_sees_frames_at_the_network_s_size(card):
    """Enlarged, and as an engine normalizes them."""
    frame = read_image(CALIBRATION[0])[:120, :160]
    calibration = _Calibration(_inputs("image", card, [frame]))
    (image,) = calibration.get_next().values()
    assert image.shape == (1, 3, 360, 480)
    assert np.array_equal(image, normalize_frame(frame, (360, 480), mean=card.mean, std=card.std))
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
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    made_by = {node.output[0]: node for node in quantized.graph.node}
    convolutions = [node for node in quantized.graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 50
    for node in convolutions:
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


def test_the_quantized_network_is_a_model_file(tmp_path, quantized, card):
    onnx.checker.check_model(quantized, full_check=True)
    assert [entry.version for entry in quantized.opset_import if not entry.domain] == [13]
    onnx.save(quantized, tmp_path / "int8.onnx")
    assert read_card(tmp_path / "int8.onnx") == card


def test_the_quantized_network_can_be_wrapped_in_fp32_alone(quantized, card):
    wrapped = wrap_network(quantized, card, frame_size=(480, 640), max_batch=2)
    onnx.checker.check_model(wrapped, full_check=True)
    assert wrapped.graph.output[0].type.tensor_type.elem_type == TensorProto.UINT8
    with pytest.raises(ModelError, match="build it with precision int8, not fp16"):
        wrap_network(quantized, card, frame_size=(480, 640), half=True)


@pytest.mark.parametrize("frames, reason", [([], "got none"), ([np.zeros((8, 8), np.uint8)], r"got \(8, 8\) uint8")])
def test_calibration_without_frames_is_refused(shipped, card, frames, reason):
    with pytest.raises(ValueError, match=reason):
        quantize(shipped, card, frames)


def test_tensorrt_builds_an_int8_plan(tmp_path, card):
    """TensorRT for RTX builds without a GPU; of a narrow network, as the shipped one takes it half a minute."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("tensorrt_rtx")
    from bisenet_training.export import export

    from bisenet_ros.engines.tensorrt.api import load_tensorrt
    from bisenet_ros.network import BiSeNetV2

    torch.manual_seed(0)
    export(BiSeNetV2(classes=11, width=0.25, head_width=32), card, tmp_path / "model.onnx")
    quantized = quantize(onnx.load(tmp_path / "model.onnx"), card, [read_image(CALIBRATION[0])])
    wrapped = wrap_network(quantized, card, frame_size=(480, 640))
    assert load_tensorrt("tensorrt_rtx").build(wrapped.SerializeToString(), precision="int8", max_batch=1).plan
