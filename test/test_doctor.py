# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet doctor`: what a machine has and lacks; its GPU is the stub's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fake_tensorrt import FakeTensorRtModule

from bisenet_ros.cli import main
from bisenet_ros.engines import gpu_check
from bisenet_ros.engines.cuda import cuda_python_device
from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.gpu_check import PARTS, examine_gpu
from bisenet_ros.engines.tensorrt.api import TensorRt
from bisenet_ros.engines.tensorrt.plan import TensorRtError


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check, "load_tensorrt", lambda: TensorRt(FakeTensorRtModule("10")))


def test_a_machine_with_everything(stub: Any, tensorrt: None) -> None:
    found = examine_gpu()
    assert tuple(found) == PARTS and not any(text.startswith("NO") for text in found.values())
    assert found["driver"] == "for CUDA 13.0" and re.search(r"cuda-(bindings|python) \d+", found["CUDA in Python"])
    assert found["GPU"] == "Stub GPU, compute capability 9.0, 4 multiprocessors, 0.9 of 1.0 GiB free"
    assert found["TensorRT"].startswith("TensorRT 10.13") and not stub.alive()


def test_what_is_missing_is_the_last_line_and_says_why(
    stub: Any, tensorrt: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_compiler(*_: Any) -> bytes:
        raise GpuError("kernels are compiled by NVRTC, which is not found")

    def no_tensorrt() -> TensorRt:
        raise TensorRtError("tensorrt is not installed")

    monkeypatch.setattr(cuda_python_device, "compile_with_nvrtc", no_compiler)
    assert list(examine_gpu().items())[-1] == ("our kernel", "NO: kernels are compiled by NVRTC, which is not found")
    stub.configure((6, 1))
    assert examine_gpu()["TensorRT"].startswith("NO: TensorRT 10.13.0.35 takes no GPU of compute capability 6.1")
    monkeypatch.setattr(gpu_check, "load_tensorrt", no_tensorrt)
    assert list(examine_gpu().items())[-1] == ("TensorRT", "NO: tensorrt is not installed")
    monkeypatch.setattr(gpu_check, "PYTHON_PACKAGES", ())
    assert list(examine_gpu())[-1] == "CUDA in Python"
    stub.reset(present=False)
    assert list(examine_gpu()) == ["driver"]


def test_the_command_ends_with_the_device_that_works(stub: Any, capsys: pytest.CaptureFixture) -> None:
    stub.reset(present=False)
    assert main(["doctor", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    for expected in ("bisenet_ros 0", "  Python: 3", "ROS 2", "  Fast DDS profile: ", "device cuda\n  driver: NO: "):
        assert expected in printed
    assert re.search(r"device cpu\n  works: .*CPU, (fp32|bf16|int8)", printed)
    assert main(["doctor", "--device", "cuda"]) == 1
    assert "device cuda cannot be used: " in capsys.readouterr().err
