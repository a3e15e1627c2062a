# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoint to model file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Dict

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from bisenet_training.export import export

from bisenet_ros.cli import main
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.checkpoint import load_checkpoint

OPTIONS = {"classes": 11, "width": 0.25, "head_width": 16}


@pytest.fixture(scope="module")
def whole_checkpoint(tmp_path_factory, card) -> Path:
    torch.manual_seed(0)
    network = BiSeNetV2(**OPTIONS, boosters=("stem", "s3", "s4", "s5_4"))
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    torch.save({"network": OPTIONS, "card": card.to_dict(), "state_dict": state}, path)
    return path


@pytest.fixture
def checkpoint(tmp_path, whole_checkpoint) -> Path:
    return Path(shutil.copy(whole_checkpoint, tmp_path))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, whole_checkpoint) -> Dict[str, Path]:
    """The model files of the checkpoint, by their weights."""
    paths = {weights: tmp_path_factory.mktemp("exported") / f"{weights}.onnx" for weights in ("fp32", "fp16")}
    for weights, path in paths.items():
        assert main(["export", str(whole_checkpoint), "-o", str(path), "--weights", weights]) == 0
    return paths


@pytest.mark.parametrize("weights, rounding", [("fp32", 1e-4), ("fp16", 5e-2)])
def test_exported_model_computes_what_the_checkpoint_does(whole_checkpoint, exported, card, weights, rounding):
    assert read_card(exported[weights]) == card
    session = onnxruntime.InferenceSession(str(exported[weights]), providers=["CPUExecutionProvider"])
    network, _ = load_checkpoint(whole_checkpoint)
    assert len(network.boosters) == 0
    for size in ((64, 96), (123, 77)):
        image = torch.randn(2, 3, *size)
        with torch.no_grad():
            expected = network(image).numpy()
        assert (
            np.abs(session.run(None, {"image": image.numpy()})[0] - expected).max() < rounding * np.abs(expected).max()
        )


def test_fp16_halves_the_file(exported):
    assert exported["fp16"].stat().st_size < 0.6 * exported["fp32"].stat().st_size


def test_a_file_that_disagrees_is_not_left(tmp_path, card, monkeypatch):
    network = BiSeNetV2(**OPTIONS).eval()
    write = torch.onnx.export

    def write_another(module, *arguments, **options):
        torch.manual_seed(1)
        write(BiSeNetV2(**OPTIONS).eval(), *arguments, **options)

    monkeypatch.setattr(torch.onnx, "export", write_another)
    path = tmp_path / "model.onnx"
    path.write_bytes(b"an older model")
    with pytest.raises(ModelError, match="disagrees with torch.*no file was written"):
        export(network, card, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
    assert path.read_bytes() == b"an older model"


def test_a_weight_beyond_fp16_is_refused(tmp_path, card):
    network = BiSeNetV2(**OPTIONS).eval()
    with torch.no_grad():
        network.head.classifier.weight[0, 0] = 1e6
    with pytest.raises(ModelError, match="no file was written"):
        export(network, card, tmp_path / "model.onnx", weights="fp16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_what_is_no_checkpoint(tmp_path, content, capsys):
    path = tmp_path / "best.ckpt"
    path.write_bytes(content)
    assert main(["export", str(path), "-o", str(tmp_path / "model.onnx")]) == 1
    assert "is damaged, or no checkpoint of `bisenet train`" in capsys.readouterr().err
    assert not (tmp_path / "model.onnx").exists()


def test_a_checkpoint_is_never_executed(tmp_path, capsys):
    """torch.load(weights_only=True): a pickled call in an untrusted file is refused, not made."""

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    path = tmp_path / "best.ckpt"
    torch.save({"network": Trap()}, path)
    assert main(["export", str(path), "-o", str(tmp_path / "model.onnx")]) == 1
    assert not (tmp_path / "executed").exists()
    assert "no checkpoint of `bisenet train`" in capsys.readouterr().err


def test_weights_that_do_not_fit(tmp_path, checkpoint, capsys):
    content = torch.load(checkpoint, weights_only=True)
    content["network"] = {**OPTIONS, "depth": 2}
    torch.save(content, checkpoint)
    assert main(["export", str(checkpoint), "-o", str(tmp_path / "model.onnx")]) == 1
    assert "do not fit" in capsys.readouterr().err


def test_exported_file_is_plain_onnx(exported):
    model = onnx.load(exported["fp32"])
    assert [entry.version for entry in model.opset_import if not entry.domain] == [13]
    assert [dimension.dim_param for dimension in model.graph.input[0].type.tensor_type.shape.dim][2:] == [
        "height",
        "width",
    ]


def test_a_model_that_is_there_is_replaced_with_force_alone(tmp_path, checkpoint, capsys):
    path = tmp_path / "model.onnx"
    path.write_text("years of work")
    command = ["export", str(checkpoint), "-o", str(path)]
    assert main(command) == 1
    assert f"{path} exists; add --force to replace it" in capsys.readouterr().err
    assert path.read_text() == "years of work"
    assert main([*command, "--force"]) == 0
    assert onnx.load(path).graph.node
