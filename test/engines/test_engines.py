# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The engines with the shipped model, against plain torch arithmetic around the same network."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bisenet_training.export import export
from plain_torch import plain_torch_logits

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.precision import cpu_flags
from bisenet_ros.engines.tensorrt.onnx_graph import wrap_network
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.input_size import network_size
from bisenet_ros.model.model_card import read_card, write_card
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2
from demo.clip import frame_ids, read_ground_truth, read_image

FRAME_SIZES = [(1024, 2048), (720, 1280), (360, 480), (479, 641), (240, 320), (97, 131)]
"""(height, width); the network's size has 360 x 480 pixels, so that the last two are enlarged."""


@pytest.fixture(scope="module")
def network() -> BiSeNetV2:
    """A network of random weights whose batch norms have seen a real frame, so that its logits are spread."""
    torch.manual_seed(0)
    network = BiSeNetV2(classes=11, head_width=64).train()
    frames = np.stack([read_image(frame_id) for frame_id in frame_ids()[::25]])[..., ::-1].transpose(0, 3, 1, 2)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # the statistics are those of these frames
    with torch.no_grad():
        network(torch.from_numpy(frames[:, :, ::2, ::2] / np.float32(128) - 1))
    return network.eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory, network, card):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export(network, card, path)
    return path


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def engine(request, model):
    if request.param == "onnxruntime":
        return OnnxRuntimeEngine(model, read_card(model))
    pytest.importorskip("openvino")
    return load_engine(model, precision="fp32")


def frame_of(size) -> np.ndarray:
    return cv2.resize(read_image(frame_ids()[0]), size[::-1], interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("size", FRAME_SIZES)
def test_fp32_engines_agree_with_torch(engine, network, card, size):
    frame = frame_of(size)
    expected = plain_torch_logits(network, card, frame, engine.network_size(*size))
    mask, confidence = engine.segment(frame, confidence=True)
    assert mask.shape == confidence.shape == size and mask.dtype == confidence.dtype == np.uint8
    assert np.array_equal(mask, engine.segment(frame))
    assert len(np.unique(mask)) > 3, "one class alone would show nothing"
    assert np.mean(mask != expected.argmax(0).numpy()) <= 1e-4
    assert np.abs(confidence - 255 * expected.softmax(0).max(0).values.numpy()).max() <= 1.5


@pytest.mark.parametrize("size", [(479, 641), (240, 320), (97, 131)])
def test_the_graph_for_tensorrt_agrees_with_torch(model, network, card, size):
    """In fp32, run by ONNX Runtime; the last two sizes are enlarged for the network."""
    frame = frame_of(size)
    wrapped = wrap_network(onnx.load(model), card, frame_size=size).SerializeToString()
    session = onnxruntime.InferenceSession(wrapped, providers=["CPUExecutionProvider"])
    mask = session.run(None, {"frames": frame[None]})[0][0]
    expected = plain_torch_logits(network, card, frame, network_size(*size, trained=card.network_size)).argmax(0)
    assert len(np.unique(mask)) > 3, "one class alone would show nothing"
    assert np.mean(mask != expected.numpy()) <= 1e-4


def test_bf16_agrees_with_fp32_or_is_refused(shipped_model):
    """With AVX-512 alone OpenVINO emulates it; without that it would compute in fp32 and not say so."""
    pytest.importorskip("openvino")
    if "avx512f" not in cpu_flags():
        with pytest.raises(EngineError, match="OpenVINO has no bf16 for this CPU, .*; choose fp32 or auto"):
            load_engine(shipped_model, device="cpu", precision="bf16")
        return
    frames = [read_image(frame_id) for frame_id in frame_ids()[::25]]
    fp32, bf16 = (load_engine(shipped_model, precision=precision) for precision in ("fp32", "bf16"))
    equal = [np.mean(fp32.segment(frame) == bf16.segment(frame)) for frame in frames]
    assert "bf16" in bf16.description
    assert np.mean(equal) >= 0.99


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 0.002), ("int8", 0.005)])
def test_shipped_model_reaches_the_score_on_the_card_of_its_int8_version(shipped_model, precision, tolerance):
    """The clip is the split on which `bisenet quantize` compared the two."""
    on_card = read_card(shipped_model.with_suffix(".int8.onnx")).quantization["compared"]["miou"]
    engine = load_engine(shipped_model, device="cpu", precision=precision)
    classes = len(engine.card.classes)
    confusion = sum(
        confusion_matrix(read_ground_truth(i), engine.segment(read_image(i)), classes=classes) for i in frame_ids()
    )
    assert mean_iou(confusion) == pytest.approx(on_card[precision], abs=tolerance)
    assert mean_iou(confusion) >= 0.7, "the weights were trained on the clip too"


def test_frames_may_change_size_and_have_padded_rows(engine):
    frame = frame_of((120, 160))
    padded = np.zeros((120, 200, 3), np.uint8)
    padded[:, :160] = frame
    expected = engine.segment(frame)
    assert engine.segment(frame_of((96, 64))).shape == (96, 64)
    assert np.array_equal(engine.segment(padded[:, :160]), expected)


SIGNAL_AFTER_ENGINES = """
import signal, sys
from bisenet_ros.engines import load_engine

engines = [load_engine(sys.argv[1], device="cpu", precision="fp32") for _ in range(3)]
while engines:
    del engines[0]
signal.signal(signal.SIGUSR1, lambda *_: print("still here"))
signal.raise_signal(signal.SIGUSR1)
"""


def test_a_signal_is_taken_once_engines_are_freed_in_the_order_in_which_they_were_made(model):
    command = [sys.executable, "-c", SIGNAL_AFTER_ENGINES, str(model)]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=120, text=True)
    assert (done.returncode, done.stdout) == (0, "still here\n")


def test_openvino_reports_nothing_to_its_makers(tmp_path):
    """It writes an id into the home folder when it does."""
    told = "from bisenet_ros.engines.cpu import openvino_engine; from openvino import Core; Core()"
    subprocess.run([sys.executable, "-c", told], check=True, timeout=120, env={**os.environ, "HOME": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "shape, dtype", [((8, 8), np.uint8), ((8, 8, 4), np.uint8), ((8, 8, 3), np.float32), ((0, 8, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(engine, shape, dtype):
    with pytest.raises(ValueError, match="expected a frame of H x W x 3 uint8"):
        engine.segment(np.zeros(shape, dtype))


@pytest.fixture(params=["openvino", "onnxruntime"])
def runtime(request, monkeypatch):
    """load_engine with each runtime: OpenVINO where it is installed, ONNX Runtime where it is not."""
    if request.param == "openvino":
        pytest.importorskip("openvino")
        return
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))


def save_changed(model, path, change):
    changed = onnx.load(model)
    change(changed)
    onnx.save(changed, path)
    return path


def test_a_network_that_cannot_run_is_refused(tmp_path, model, runtime):
    def break_a_node(changed):
        changed.graph.node[5].op_type = "NoSuchOperator"

    with pytest.raises(ModelError, match="broken.onnx cannot be run"):
        load_engine(save_changed(model, tmp_path / "broken.onnx", break_a_node))


def test_a_network_of_a_fixed_size_is_refused(tmp_path, model, runtime):
    def fix_the_size(changed):
        for dimension, size in zip(changed.graph.input[0].type.tensor_type.shape.dim, (1, 3, 64, 64)):
            dimension.dim_value = size

    with pytest.raises(ModelError, match="fixed.onnx cannot be run"):
        load_engine(save_changed(model, tmp_path / "fixed.onnx", fix_the_size))


def test_a_network_with_other_classes_than_its_card_is_refused(tmp_path, model, card, runtime):
    fewer = dataclasses.replace(card, classes=ClassMap(card.classes[:5]))
    path = save_changed(model, tmp_path / "other.onnx", lambda changed: write_card(changed, fewer))
    with pytest.raises(ModelError, match=r"expected float32 logits of shape \(1, 5, 45, 60\).*got .*\(1, 11, 45, 60\)"):
        load_engine(path)
