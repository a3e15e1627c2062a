# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in `bisenet benchmark`: PyTorch beside the engines, as in the paper's Fig. 10."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch
from plain_torch import plain_torch_logits
from tiny_model import save_tiny_model

from bisenet_ros.benchmark import eager_engine
from bisenet_ros.benchmark.eager_engine import read_checkpoint_card, torch_runtime
from bisenet_ros.benchmark.plot import draw_speed
from bisenet_ros.cli import main
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.checkpoint import load_checkpoint
from bisenet_ros.network.frame_network import FrameNetwork

NETWORK = {"classes": 11, "width": 0.25, "head_width": 16}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, card):
    torch.manual_seed(0)
    state = {f"network.{key}": value for key, value in BiSeNetV2(**NETWORK).state_dict().items()}
    path = tmp_path_factory.mktemp("run") / "small.ckpt"
    torch.save({"network": NETWORK, "card": card.to_dict(), "state_dict": state}, path)
    return path


@pytest.mark.parametrize("size", [(96, 128), (90, 122)])
def test_masks_are_the_plain_computations(checkpoint, card, size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    runtime = torch_runtime(checkpoint, "cpu")
    engine = runtime.create(checkpoint, read_checkpoint_card(checkpoint), precision="fp32", size_choice="full")
    mask = engine.segment(frame[:, ::-1])  # rows that lie backwards in memory, too
    logits = plain_torch_logits(load_checkpoint(checkpoint)[0], card, frame[:, ::-1].copy(), engine.network_size(*size))
    expected = logits.argmax(dim=0).numpy()
    assert mask.dtype == np.uint8 and mask.shape == size and len(np.unique(expected)) > 1
    assert np.mean(mask != expected) < 1e-3
    assert list(engine.stage_milliseconds(frame)) == ["before", "network", "after"]
    assert engine.description == f"PyTorch {torch.__version__}, CPU, fp32"
    with pytest.raises(EngineError, match="gives no confidence"):
        engine.segment(frame, confidence=True)


def test_in_half_precision_most_pixels_keep_their_class(checkpoint, card):
    """As on a GPU, here on the CPU: the network in fp16, all around it in fp32."""
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    masks = []
    for half in (False, True):
        network = FrameNetwork(load_checkpoint(checkpoint)[0], card, device="cpu", half=half)
        engine = eager_engine.EagerEngine(network, card)
        masks.append(engine.segment(frame))
        steps = list(network.steps((96, 128), (96, 128)).values())
        assert steps[1](steps[0](frame)).dtype == torch.float32
    assert engine.description.endswith("fp16") and 0.9 < np.mean(masks[0] == masks[1])


def test_a_sweep_has_a_curve_of_pytorch(checkpoint, card, tmp_path):
    pytest.importorskip("matplotlib")
    model, numbers = save_tiny_model(tmp_path / "small.onnx", card), tmp_path / "numbers.json"
    arguments = ["--device", "cpu", "--size", "64x64", "--iterations", "1", "--json", str(numbers)]
    assert main(["benchmark", str(model), str(checkpoint), "--sweep", *arguments]) == 0
    found = json.loads(numbers.read_text())
    (ours,) = [entry for entry in found["measurements"] if entry["runtime"] == "PyTorch"]
    assert (ours["model"], ours["precision"], ours["network_size"]) == ("small.ckpt", "fp32", "64x64")
    assert ours["whole"]["fps"] > 0 and ours["without_copies"] == ours["whole"], "the CPU copies nothing"
    assert found["protocol"]["PyTorch"] == eager_engine.PROTOCOL
    assert {entry["file"] for entry in found["models"]} == {"small.onnx", "small.ckpt"}
    (legend,) = draw_speed(found).legends
    assert "small.ckpt, PyTorch" in [text.get_text() for text in legend.get_texts()]


def test_with_a_gpu_there_are_fp32_and_fp16(checkpoint, monkeypatch):
    assert torch_runtime(checkpoint, "auto").precisions == (
        ("fp32", "fp16") if torch.cuda.is_available() else ("fp32",)
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (
        torch_runtime(checkpoint, "auto").precisions == torch_runtime(checkpoint, "cuda").precisions == ("fp32", "fp16")
    )
    assert torch_runtime(checkpoint, "cpu").precisions == ("fp32",)


def test_what_pytorch_cannot_run_is_refused(checkpoint, tmp_path, monkeypatch, capsys):
    def error(*arguments: str) -> str:
        assert main(["benchmark", *arguments]) == 1
        return capsys.readouterr().err

    assert "no engine here computes in int8" in error(str(checkpoint), "--device", "cpu", "--precision", "int8")
    (tmp_path / "text.ckpt").write_text("text")
    assert "text.ckpt is damaged, or no checkpoint" in error(str(tmp_path / "text.ckpt"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "it finds no GPU for device cuda" in error(str(checkpoint), "--device", "cuda")
    monkeypatch.delitem(sys.modules, "bisenet_ros.network")
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("bisenet_ros.network.")]:
        monkeypatch.delitem(sys.modules, name)
    assert "the package 'torch' is not installed; install it with `pip install torch`" in error(str(checkpoint))
