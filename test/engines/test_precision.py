# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which precision a model file is run in: by the CPU's instructions, by what is installed and by its int8 version."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from tiny_model import save_int8_version, save_tiny_model

from bisenet_ros.cli import main
from bisenet_ros.engines import load_engine
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.loader import installed_runtimes
from bisenet_ros.engines.precision import choose_precision, computes_in_bf16, computes_in_int8, int8_path

VNNI_AND_BF16, VNNI, NEITHER = {"avx512_vnni", "avx512_bf16"}, {"avx_vnni"}, {"avx2"}


@pytest.fixture
def model(tmp_path, card):
    return save_tiny_model(tmp_path / "tiny.onnx", card)


@pytest.fixture
def cpu_has(monkeypatch):
    """Says which instructions the CPU has."""
    pytest.importorskip("openvino")

    def choose(flags) -> None:
        monkeypatch.setattr("bisenet_ros.engines.precision.cpu_flags", lambda: flags)

    return choose


@pytest.fixture
def no_openvino(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))


def automatic(model):
    return choose_precision(model, device="cpu", precision="auto")


@pytest.mark.parametrize(
    "flags, loss, precision, reason",
    [
        (VNNI_AND_BF16, 0.5, "int8", "the CPU has VNNI, and .*tiny.int8.onnx loses 0.50 points of mIoU"),
        (VNNI, -0.1, "int8", "loses -0.10 points"),
        (
            VNNI_AND_BF16,
            0.51,
            "bf16",
            "has instructions for bf16; not int8: .* loses 0.51 points of mIoU, more than 0.5",
        ),
        (VNNI_AND_BF16, None, "bf16", "not int8: the card of .*tiny.int8.onnx does not say what int8 loses"),
        (NEITHER | {"amx_bf16"}, 0.0, "bf16", "not int8: the CPU has no VNNI"),
        (VNNI, 2.0, "fp32", "not bf16: the CPU has no instructions for it; not int8: .* loses 2.00 points"),
        (NEITHER, 0.0, "fp32", "not bf16: the CPU has no instructions for it; not int8: the CPU has no VNNI"),
    ],
)
def test_auto_on_a_cpu(cpu_has, model, flags, loss, precision, reason):
    cpu_has(flags)
    path = save_int8_version(model, model.parent, loss=loss)
    choice = automatic(model)
    assert (choice.precision, choice.model) == (precision, path if precision == "int8" else model)
    assert re.search(reason, choice.reason)


def test_auto_takes_no_int8_version_that_is_missing_broken_or_of_another_model(cpu_has, model):
    cpu_has(VNNI)
    assert f"needs {int8_path(model)}, which is not there; make it with `bisenet quantize" in automatic(model).reason
    save_int8_version(model, model.parent, loss=0.0, made_from="0" * 64)
    assert f"was not made from {model} as it is now" in automatic(model).reason
    int8_path(model).write_text("text")
    assert "is not an ONNX model" in automatic(model).reason
    assert automatic(model).precision == "fp32"


def test_without_openvino_auto_is_int8_or_fp32(cpu_has, model, no_openvino):
    cpu_has(VNNI_AND_BF16)
    assert automatic(model).precision == "fp32" and "not bf16: OpenVINO is not installed" in automatic(model).reason
    save_int8_version(model, model.parent, loss=0.1)
    assert automatic(model).precision == "int8"
    with pytest.raises(EngineError, match="bf16 needs OpenVINO"):
        choose_precision(model, device="cpu", precision="bf16")


def test_what_is_asked_for_is_taken_without_a_reason(cpu_has, model):
    cpu_has(NEITHER)
    path = save_int8_version(model, model.parent, loss=3.0)
    for precision, file in (("fp32", model), ("bf16", model), ("int8", path)):
        assert choose_precision(model, device="cpu", precision=precision) == (precision, file, "")
    assert choose_precision(path, device="cpu", precision="int8") == ("int8", path, "")


@pytest.mark.parametrize("version, expected", [("1.20.1", "fp32"), ("1.21.0", "int8"), ("2.0", "int8")])
def test_an_onnx_runtime_that_computes_int8_in_fp32_is_not_automatic(
    cpu_has, model, no_openvino, monkeypatch, version, expected
):
    cpu_has(VNNI)
    save_int8_version(model, model.parent, loss=0.0)
    monkeypatch.setattr("bisenet_ros.engines.precision.installed_version", lambda package: version)
    choice = automatic(model)
    assert choice.precision == expected
    assert ("ONNX Runtime 1.20.1 would compute it in fp32; install OpenVINO, or" in choice.reason) == (
        expected == "fp32"
    )


@pytest.mark.parametrize(
    "cpuinfo, bf16, int8",
    [
        ("processor\t: 0\nflags\t\t: fpu avx512_vnni avx512_bf16\n", True, True),
        ("flags\t\t: fpu avx_vnni\nbugs\t\t: avx512_bf16\n", False, True),
        ("flags\t\t: fpu amx_bf16\nflags\t\t: fpu\n", True, False),
        ("Features\t: fp asimd bf16\n", False, False),
    ],
    ids=["both", "VNNI", "bf16", "ARM"],
)
def test_instructions_are_the_flags_of_the_first_cpu(monkeypatch, cpuinfo, bf16, int8):
    monkeypatch.setattr(Path, "read_text", lambda path: {"/proc/cpuinfo": cpuinfo}[str(path)])
    assert (computes_in_bf16(), computes_in_int8()) == (bf16, int8)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_quantized_model_is_int8_alone(model, device, tmp_path):
    path = save_int8_version(model, tmp_path)
    assert choose_precision(path, device=device, precision="auto") == ("int8", path, "the model file is quantized")
    with pytest.raises(
        EngineError, match=r"is quantized, which is precision int8, not fp32; choose int8 \(--precision int8\)"
    ):
        choose_precision(path, device=device, precision="fp32")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_int8_without_an_int8_version_is_refused_with_the_command_that_helps(model, device):
    with pytest.raises(EngineError, match=r"needs .*tiny.int8.onnx, .*`bisenet quantize .*tiny.onnx --calibration"):
        choose_precision(model, device=device, precision="int8")
    save_int8_version(model, model.parent, made_from="0" * 64)
    with pytest.raises(EngineError, match="was not made from .*tiny.onnx as it is now; make it with `bisenet quantize"):
        choose_precision(model, device=device, precision="int8")


def test_a_gpu_takes_fp16_unless_int8_is_asked_for(model):
    path = save_int8_version(model, model.parent, loss=0.0)
    assert choose_precision(model, device="cuda", precision="auto")[:2] == ("fp16", model)
    assert choose_precision(model, device="cuda", precision="int8")[:2] == ("int8", path)


def test_precisions_go_with_devices(model):
    with pytest.raises(EngineError, match="precision fp16 needs a GPU with TensorRT; choose one of fp32, bf16, int8"):
        choose_precision(model, device="cpu", precision="fp16")
    with pytest.raises(EngineError, match="precision bf16 is the CPU's; choose fp32, fp16, int8"):
        choose_precision(model, device="cuda", precision="bf16")


def test_the_runtimes_own_precisions(cpu_has):
    for flags, expected in ((VNNI_AND_BF16, ("fp32", "bf16")), (VNNI, ("fp32",))):
        cpu_has(flags)
        openvino, onnxruntime = installed_runtimes("cpu")
        assert (openvino.name, openvino.precisions, openvino.automatic) == ("OpenVINO", expected, expected[-1])
        assert (onnxruntime.name, onnxruntime.precisions) == ("ONNX Runtime", ("fp32",))
    assert {runtime.precisions for runtime in installed_runtimes("cpu", quantized=True)} == {("int8",)}


def test_the_engine_says_why(cpu_has, model):
    cpu_has(VNNI)
    frame = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
    automatic_fp32 = load_engine(model, device="cpu")
    assert "fp32" in automatic_fp32.description and "not int8" in automatic_fp32.precision_reason
    save_int8_version(model, model.parent, loss=0.0)
    int8 = load_engine(model, device="cpu")
    assert "CPU, int8" in int8.description and "loses 0.00 points" in int8.precision_reason
    fp32 = load_engine(model, device="cpu", precision="fp32")
    assert fp32.precision_reason == ""
    assert np.array_equal(int8.segment(frame), fp32.segment(frame)), "its network is the same"


def test_weights_beside_the_int8_file_are_found(cpu_has, model):
    cpu_has(VNNI)
    path = save_int8_version(model, model.parent, loss=0.0)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="int8.data", size_threshold=0)
    assert "CPU, int8" in load_engine(model, device="cpu").description


def test_a_folder_is_no_model_to_quantize(tmp_path, capsys):
    assert main(["quantize", ".", "--calibration", str(tmp_path)]) == 1
    assert "expected a model file at" in capsys.readouterr().err
