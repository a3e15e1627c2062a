# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The graph that TensorRT gets, run by ONNX Runtime against the CPU engines and built by TensorRT for RTX."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Dict

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.engines.tensorrt.onnx_graph import _scale, wrap_network
from bisenet_ros.model.class_groups import read_class_groups
from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.grouped_model import write_grouped_model
from bisenet_ros.model.input_size import network_size
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError
from demo.clip import frame_ids, read_image

FRAME_SIZES = [(360, 480), (480, 640), (479, 641), (97, 131)]
"""(height, width); the last is enlarged for the network."""
CHANNELS = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]


def frames_of(size, count: int = 1) -> np.ndarray:
    images = [read_image(frame_id) for frame_id in frame_ids()[3::25][:count]]
    return np.stack([cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC) for image in images])


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.fixture(scope="module")
def shipped(shipped_model) -> onnx.ModelProto:
    return onnx.load(shipped_model)


@pytest.fixture(scope="module")
def shipped_card(shipped_model) -> ModelCard:
    return read_card(shipped_model)


@pytest.fixture(scope="module")
def engine(shipped_model):
    return load_engine(shipped_model, precision="fp32")


@pytest.fixture
def averaging() -> onnx.ModelProto:
    """A network whose three logits are the means of R, G and B over 8 x 8 pixels."""
    kernel = {"kernel_shape": (8, 8), "strides": (8, 8)}
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("AveragePool", ["image"], ["logits"], **kernel)],
            "averaging",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ("batch", 3, "height", "width"))],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch", 3, "height/8", "width/8"))],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
    )


@pytest.fixture
def plain_card(card) -> ModelCard:
    """Logits are gray levels / 255."""
    classes = ClassMap(card.classes[:3])
    return dataclasses.replace(card, classes=classes, mean=(0, 0, 0), std=(1, 1, 1), network_size=(64, 64))


@pytest.mark.parametrize("size", FRAME_SIZES)
def test_masks_are_those_of_the_cpu_engine(shipped, shipped_card, engine, size):
    frames = frames_of(size)
    mask = run(wrap_network(shipped, shipped_card, frame_size=size), frames=frames)
    assert mask.shape == (1, *size) and mask.dtype == np.uint8
    assert len(np.unique(mask)) > 3, "one class alone would show nothing"
    assert np.mean(mask[0] != engine.segment(frames[0])) <= 1e-4


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_batch_is_segmented_like_its_frames(shipped, shipped_card, engine, batch):
    size = (97, 131)
    frames = frames_of(size, count=batch)
    mask = run(wrap_network(shipped, shipped_card, frame_size=size, max_batch=3), frames=frames)
    assert np.mean(mask != np.stack([engine.segment(frame) for frame in frames])) <= 1e-4


@pytest.mark.parametrize("max_batch", [1, 3])
def test_the_logits_are_the_networks_own(shipped, shipped_card, max_batch):
    size = (240, 322)
    frames = frames_of(size)
    wrapped = wrap_network(shipped, shipped_card, frame_size=size, max_batch=max_batch, tail="logits")
    mean, std = shipped_card.mean, shipped_card.std
    height, width = network_size(*size, trained=shipped_card.network_size)
    expected = run(shipped, image=normalize_frame(frames[0], (height, width), mean=mean, std=std))
    logits = run(wrapped, frames=frames)
    assert logits.shape == (1, 11, height // 8, width // 8) and logits.dtype == np.float32
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_batch_has_the_logits_of_its_frames(shipped, shipped_card):
    size = (97, 131)
    frames = frames_of(size, count=3)
    wrapped = wrap_network(shipped, shipped_card, frame_size=size, max_batch=3, tail="logits")
    one_by_one = np.concatenate([run(wrapped, frames=frames[i : i + 1]) for i in range(3)])
    assert np.abs(run(wrapped, frames=frames) - one_by_one).max() <= 1e-4 * np.abs(one_by_one).max()


@pytest.mark.parametrize("uint8", [True, False])
def test_the_network_alone_is_what_lies_between_the_image_and_the_logits(shipped, shipped_card, uint8):
    frame_size = (479, 641)
    size = network_size(*frame_size, trained=shipped_card.network_size)
    image = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    wrapped = wrap_network(shipped, shipped_card, frame_size=frame_size, tail="network", uint8=uint8)
    expected = run(shipped, image=image)
    assert np.abs(run(wrapped, image=image) - expected).max() <= 1e-4 * np.abs(expected).max()
    assert "Resize" not in {node.op_type for node in wrapped.graph.node if not node.name.startswith("network/")}


def test_half_precision_computes_in_fp16_and_agrees(shipped, shipped_model, shipped_card):
    """By ONNX's own slow runtime: ONNX Runtime computes in fp32 where the CPU has no fp16 kernels."""
    size, card = (96, 128), dataclasses.replace(shipped_card, network_size=(96, 128))
    frames = frames_of(size)
    wrapped = wrap_network(shipped, card, frame_size=size, half=True)
    wrapped.opset_import[0].version = 14  # in 13 that runtime normalizes as in training
    mask = ReferenceEvaluator(wrapped).run(None, {"frames": frames})[0]
    assert np.mean(mask[0] == OnnxRuntimeEngine(shipped_model, card).segment(frames[0])) >= 0.999


def test_half_precision_is_of_the_network_alone(shipped, shipped_card):
    wrapped = wrap_network(shipped, shipped_card, frame_size=(480, 640), half=True, tail="logits")
    kinds = {tensor.name: tensor.data_type for tensor in wrapped.graph.initializer}
    network = {kind for name, kind in kinds.items() if name.startswith("network/")}
    around = {kind for name, kind in kinds.items() if not name.startswith("network/")}
    assert (network, around) == ({TensorProto.FLOAT16}, {TensorProto.FLOAT})
    assert run(wrapped, frames=frames_of((480, 640))).dtype == np.float32


@pytest.mark.parametrize("tail", ["mask", "logits"])
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("max_batch, uint8", [(1, True), (4, True), (1, False)])
def test_the_graph_is_valid_onnx_of_opset_13(shipped, shipped_card, tail, half, max_batch, uint8):
    wrapped = wrap_network(
        shipped, shipped_card, frame_size=(479, 641), max_batch=max_batch, half=half, tail=tail, uint8=uint8
    )
    onnx.checker.check_model(wrapped, full_check=True)
    assert [(entry.domain, entry.version) for entry in wrapped.opset_import] == [("", 13)]


def test_weights_stored_as_fp16_become_fp32_constants(shipped, shipped_card):
    assert any(tensor.data_type == TensorProto.FLOAT16 for tensor in shipped.graph.initializer)
    graph = wrap_network(shipped, shipped_card, frame_size=(360, 480)).graph
    constants = {tensor.name: tensor.data_type for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 50
    assert {constants.get(name) for node in convolutions for name in node.input[1:]} == {TensorProto.FLOAT}
    assert set(constants.values()) == {TensorProto.FLOAT}


def test_uint8_is_at_the_ends_alone_and_there_beside_floats(shipped, shipped_card):
    """TensorRT has uint8 as the type of inputs and outputs, and casts floats to and from it, nothing else."""
    wrapped = onnx.shape_inference.infer_shapes(wrap_network(shipped, shipped_card, frame_size=(480, 640)))
    graph = wrapped.graph
    kinds = {info.name: info.type.tensor_type.elem_type for info in graph.value_info}
    assert TensorProto.UINT8 not in kinds.values() and len(kinds) > 100
    (first,) = (node for node in graph.node if "frames" in node.input)
    (last,) = (node for node in graph.node if "mask" in node.output)
    assert first.op_type == last.op_type == "Cast"
    assert kinds[first.output[0]] == kinds[last.input[0]] == TensorProto.FLOAT


def test_a_tensorrt_without_uint8_gets_other_types_and_the_same_masks(averaging, plain_card):
    size = (90, 120)
    frames = frames_of(size)
    expected = run(wrap_network(averaging, plain_card, frame_size=size), frames=frames)
    wrapped = wrap_network(averaging, plain_card, frame_size=size, uint8=False)
    mask = run(wrapped, frames=frames.astype(np.float32))
    assert mask.dtype == np.int32 and np.array_equal(mask, expected)
    kinds = [info.type.tensor_type.elem_type for info in (*wrapped.graph.input, *wrapped.graph.output)]
    assert kinds == [TensorProto.FLOAT, TensorProto.INT32]


def test_frames_are_bgr_and_the_network_sees_rgb(averaging, plain_card):
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[..., 0] = 200  # blue
    assert set(run(wrap_network(averaging, plain_card, frame_size=(64, 64)), frames=frame).flat) == {2}


def test_ties_go_to_the_lower_id(averaging, plain_card):
    gray = np.full((1, 64, 64, 3), 100, np.uint8)
    assert set(run(wrap_network(averaging, plain_card, frame_size=(64, 64)), frames=gray).flat) == {0}


@pytest.mark.parametrize("size, resizes", [((64, 64), 1), ((128, 128), 3), ((60, 60), 3)])
def test_a_resize_to_the_same_size_is_left_out(averaging, plain_card, size, resizes):
    graph = wrap_network(averaging, plain_card, frame_size=size).graph
    assert [node.op_type for node in graph.node].count("Resize") == resizes


def test_resizing_by_a_scale_meets_the_size_exactly():
    """Whether a runtime multiplies in float32 or in float64 before it rounds down."""
    rng = np.random.default_rng(0)
    for have, want in rng.integers(1, 8192, (5000, 2)).tolist():
        scale = _scale(have, want)
        assert int(np.float32(have) * scale) == int(have * float(scale)) == want
        assert scale == pytest.approx(want / have, rel=2e-7)


def test_the_model_is_left_as_it_was(shipped, shipped_card):
    before = shipped.SerializeToString()
    wrap_network(shipped, shipped_card, frame_size=(360, 480), half=True)
    assert shipped.SerializeToString() == before


def test_what_cannot_be_wrapped_is_refused(averaging, plain_card):
    def wrap(**options: Dict) -> None:
        wrap_network(averaging, plain_card, **{"frame_size": (64, 64), **options})

    with pytest.raises(ValueError, match="tail must be one of mask, logits, network, got 'argmax'"):
        wrap(tail="argmax")
    with pytest.raises(ValueError, match="at least 1, got 0 and"):
        wrap(max_batch=0)
    with pytest.raises(ValueError, match="at least 1, got 1 and"):
        wrap(frame_size=(0, 64))
    averaging.graph.output.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, None))
    with pytest.raises(ModelError, match="got 1 inputs and 2 outputs"):
        wrap()


def test_weights_beyond_fp16_are_refused(averaging, plain_card):
    averaging.graph.node[0].output[0] = "means"
    averaging.graph.node.append(helper.make_node("Mul", ["means", "large"], ["logits"]))
    averaging.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([1e6]), "large"))
    wrap_network(averaging, plain_card, frame_size=(64, 64))
    with pytest.raises(ModelError, match="network/large reach beyond fp16.*choose fp32"):
        wrap_network(averaging, plain_card, frame_size=(64, 64), half=True)


def test_scales_that_fp16_rounds_to_0_are_raised(tensorrt, shipped_card):
    """TensorRT for RTX refuses the model otherwise; such a channel of weights is all but 0."""
    model = onnx.load(Path(__file__).parents[2] / "models" / "bisenetv2_camvid.int8.onnx")
    scales = {node.input[1] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    tensor = next(it for it in model.graph.initializer if it.name in scales and it.dims and it.dims[0] > 1)
    values = onnx.numpy_helper.to_array(tensor).copy()
    values[0] = 1e-9
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    wrapped = wrap_network(model, shipped_card, frame_size=(64, 64), half=True)
    (halved,) = [it for it in wrapped.graph.initializer if it.name == f"network/{tensor.name}"]
    raised = onnx.numpy_helper.to_array(halved)
    assert raised[0] == 2**-24
    np.testing.assert_array_equal(raised[1:], values[1:].astype(np.float16))
    assert tensorrt.build(wrapped.SerializeToString(), precision="int8", max_batch=1).plan


@pytest.fixture(scope="module")
def tensorrt():
    """TensorRT for RTX, which parses and builds without a GPU."""
    from bisenet_ros.engines.tensorrt.api import TensorRt

    return TensorRt(pytest.importorskip("tensorrt_rtx"))


@pytest.fixture(scope="module", params=[1, 3], ids=["BiSeNetV2", "BiSeNetV2-Large"])
def random_network(request, tmp_path_factory, card) -> onnx.ModelProto:
    """Narrow, so that plans build fast; the layers are the model's own."""
    torch = pytest.importorskip("torch")
    from bisenet_training.export import export

    from bisenet_ros.network import BiSeNetV2

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export(BiSeNetV2(classes=11, width=0.25, depth=request.param, head_width=32), card, path)
    return onnx.load(path)


@pytest.mark.parametrize("size", FRAME_SIZES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_tensorrt_builds_a_plan(tensorrt, random_network, card, size, precision):
    half = precision == "fp16" and not tensorrt.has_fp16_flag
    wrapped = wrap_network(random_network, card, frame_size=size, half=half)
    assert tensorrt.build(wrapped.SerializeToString(), precision=precision, max_batch=1).plan


def test_tensorrt_builds_a_plan_of_the_shipped_model_for_batches(tensorrt, shipped, shipped_card):
    wrapped = wrap_network(shipped, shipped_card, frame_size=(479, 641), max_batch=3, half=True, tail="logits")
    assert len(tensorrt.build(wrapped.SerializeToString(), precision="fp16", max_batch=3).plan) > 1_000_000


def test_tensorrt_without_uint8_gets_a_graph_it_builds(tensorrt, random_network, card):
    wrapped = wrap_network(random_network, card, frame_size=(480, 640), uint8=False)
    assert tensorrt.build(wrapped.SerializeToString(), precision="fp32", max_batch=1).plan


@pytest.mark.parametrize("half", (False, True))
def test_a_model_of_class_groups_is_as_any_other(shipped_model, shipped_card, tmp_path, half):
    class_map = tmp_path / "groups.yaml"
    groups = {"ground": "[road, sidewalk]", "gravel": "[]", "things": "[car, fence, pole, pedestrian]"}
    entries = [f"{{name: {name}, color: [1, 2, 3], of: {of}, optional: [{name}s]}}" for name, of in groups.items()]
    class_map.write_text(f"classes: [{', '.join(entries)}]")
    grouping = read_class_groups(class_map).fit(shipped_card.classes)
    card = write_grouped_model(shipped_model, shipped_card, grouping, tmp_path / "grouped.onnx")
    frames = frames_of((360, 480))
    graph = wrap_network(onnx.load(tmp_path / "grouped.onnx"), card, frame_size=(360, 480), half=half)
    mask = run(graph, frames=frames)[0]
    expected = load_engine(shipped_model, device="cpu", precision="fp32", class_map=class_map).segment(frames[0])
    assert set(np.unique(mask)) == {0, 2, 3} and grouping.unlisted == 3
    assert np.mean(np.where(mask == 3, IGNORE, mask) != expected) <= (1e-3 if half else 1e-4)
