# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which engine a model file gets: by device, precision, what is installed and what the machine can do."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from tiny_model import save_int8_version, save_tiny_model

from bisenet_ros.engines import load_engine, loader
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.cuda import open_device as cuda
from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.engine import EngineError, FatalEngineError
from bisenet_ros.engines.loader import choose_device, has_usable_gpu
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from bisenet_ros.engines.tensorrt.plan import TensorRtError
from bisenet_ros.model.input_size import SizeError
from bisenet_ros.model.model_file import ModelError

DRIVABLE = Path(__file__).parents[2] / "config" / "class_maps" / "drivable.yaml"


@pytest.fixture(scope="module")
def model(tmp_path_factory, card):
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card)


def without(monkeypatch, *packages: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in packages else find(name))


def test_unknown_choices(model):
    with pytest.raises(EngineError, match="device must be one of auto, cpu, cuda, got 'tpu'"):
        load_engine(model, device="tpu")
    with pytest.raises(EngineError, match="precision must be one of"):
        load_engine(model, precision="fp8")


@pytest.mark.parametrize("package, module", [("openvino", "openvino_engine"), ("onnxruntime", "onnxruntime_engine")])
def test_a_runtime_that_cannot_be_imported_is_not_blamed_on_the_model(model, monkeypatch, package, module):
    monkeypatch.setattr(loader, "is_importable", lambda name: name == package)
    monkeypatch.setitem(sys.modules, f"bisenet_ros.engines.cpu.{module}", None)
    with pytest.raises(
        EngineError, match=rf"{package} [\d.]+ is installed but cannot be used: .*; install .*another runtime"
    ):
        load_engine(model, device="cpu", precision="fp32")


def test_without_openvino_onnx_runtime_runs_the_model(model, monkeypatch):
    without(monkeypatch, "openvino")
    assert isinstance(load_engine(model, device="cpu"), OnnxRuntimeEngine)
    with pytest.raises(EngineError, match="bf16 needs OpenVINO"):
        load_engine(model, device="cpu", precision="bf16")


def test_without_any_runtime_the_error_says_what_to_install(model, monkeypatch):
    without(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(EngineError, match="no engine is installed for device cpu; .*openvino` or `pip install onnxrun"):
        load_engine(model, device="cpu")


def test_weights_in_a_missing_file_are_told(tmp_path, card):
    path = save_tiny_model(tmp_path / "tiny.onnx", card, external_data="tiny.onnx.data")
    frame = np.random.default_rng(0).integers(0, 256, (72, 96, 3), np.uint8)
    assert load_engine(path, device="cpu").segment(frame).shape == (72, 96)
    (tmp_path / "tiny.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"has its weights in .*tiny.onnx.data, which is missing; copy that file too"):
        load_engine(path, device="cpu")


def test_a_disk_without_room_for_the_model_with_merged_classes_is_told(model, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(loader, "write_grouped_model", fail)
    with pytest.raises(
        OSError, match=r"No space left on device writing .*/bisenet_ros\..*; free some space, .* TMPDIR"
    ):
        load_engine(model, device="cpu", class_map=DRIVABLE)


@pytest.mark.parametrize("class_map", (None, DRIVABLE))
@pytest.mark.parametrize(
    "value, problem",
    [
        (np.nan, r"has weights that are not finite \(weights\)"),
        (np.inf, r"has weights that are not finite \(weights\)"),
        (3e38, "cannot be run: its logits are not finite"),
    ],
)
def test_numbers_that_are_not_finite_are_told(tmp_path, card, value, problem, class_map):
    """Of such logits each mask is of the first class alone, which is the road in Cityscapes."""
    path = save_tiny_model(tmp_path / "tiny.onnx", card, one_weight=value)
    with pytest.raises(ModelError, match=rf"tiny.onnx {problem}: its training diverged, or the file is damaged"):
        load_engine(path, device="cpu", precision="fp32", class_map=class_map)


DRIVER = """
extern "C" int cuInit(unsigned) {{ return {init}; }}
extern "C" int cuDeviceGetCount(int *count) {{ *count = {count}; return 0; }}
extern "C" int cuCtxSynchronize() {{ return 0; }}
extern "C" int cuGetErrorName(int, const char **name) {{ *name = "CUDA_ERROR_OF_THIS_TEST"; return 0; }}
"""


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """Makes libcuda.so.1 absent, or one that answers as told."""
    load = ctypes.CDLL

    def install(*, init: int = 0, count: int = 1) -> None:
        if not shutil.which("g++"):
            pytest.skip("g++ makes the driver")
        source, library = tmp_path / "driver.cpp", tmp_path / f"libcuda_{init}_{count}.so"
        source.write_text(DRIVER.format(init=init, count=count))
        subprocess.run(["g++", "-shared", "-fPIC", "-o", library, source], check=True)
        monkeypatch.setattr(ctypes, "CDLL", lambda name: load(str(library)))

    def remove() -> None:
        def fail(name):
            raise OSError(f"{name}: cannot open shared object file")

        monkeypatch.setattr(ctypes, "CDLL", fail)

    install.remove = remove
    return install


@pytest.fixture
def installed(monkeypatch):
    """Says which of the packages are installed."""

    def choose(*names: str) -> None:
        choosable = {"tensorrt", "tensorrt_rtx", "cuda", "cuda.bindings", "cuda.cuda", "pycuda"}
        find = importlib.util.find_spec

        def find_chosen(name, *rest):
            return (True if name in names else None) if name in choosable else find(name, *rest)

        monkeypatch.setattr(importlib.util, "find_spec", find_chosen)

    return choose


def test_without_a_driver_device_cuda_says_so(driver, installed, model):
    driver.remove()
    installed("tensorrt", "cuda", "cuda.bindings")
    with pytest.raises(
        EngineError, match="device cuda cannot be used: .*libcuda.so.1 is not found; install the driver"
    ):
        load_engine(model, device="cuda")


@pytest.mark.parametrize(
    "answers, message",
    [({"init": 999}, r"the driver answers CUDA_ERROR_OF_THIS_TEST \(999\)"), ({"count": 0}, "the driver sees none")],
)
def test_a_driver_without_a_gpu_is_told_apart(driver, answers, message):
    driver(**answers)
    with pytest.raises(GpuError, match=message):
        cuda.open_device()


def test_without_tensorrt_device_cuda_says_what_to_install(driver, installed, model):
    driver()
    installed("cuda", "cuda.bindings")
    with pytest.raises(EngineError, match="docs/gpu.md"):
        load_engine(model, device="cuda")


def test_a_cuda_package_that_cannot_be_imported_is_told(driver, installed, model, monkeypatch):
    driver()
    installed("tensorrt", "pycuda")
    monkeypatch.setitem(sys.modules, "bisenet_ros.engines.cuda.pycuda_device", None)
    with pytest.raises(GpuError, match="CUDA's Python package cannot be imported: .*; install it again"):
        cuda.open_device()


def test_without_cudas_python_packages_the_error_says_what_to_install(driver, installed):
    driver()
    installed("tensorrt")
    with pytest.raises(GpuError, match="pip install cuda-bindings"):
        cuda.open_device()


def test_auto_takes_the_gpu_only_where_everything_is_there(driver, installed):
    driver()
    installed("tensorrt", "cuda", "cuda.bindings")
    assert has_usable_gpu() and choose_device("auto") == "cuda"
    assert choose_device("auto", "bf16") == choose_device("cpu") == "cpu"
    installed("tensorrt_rtx", "pycuda")
    assert has_usable_gpu()
    installed("tensorrt")
    assert not has_usable_gpu()
    installed("pycuda")
    assert not has_usable_gpu()
    installed("tensorrt", "pycuda")
    driver(count=0)
    assert not has_usable_gpu()
    driver.remove()
    assert not has_usable_gpu() and choose_device("auto") == "cpu"


def test_auto_without_a_gpu_is_the_cpu_engine_and_imports_nothing_of_cuda(model):
    program = f"""
        import ctypes, sys
        load = ctypes.CDLL
        def no_driver(name, *rest, **options):
            if name and "libcuda" in str(name):
                raise OSError(name)
            return load(name, *rest, **options)
        ctypes.CDLL = no_driver
        sys.modules["openvino"] = None  # it takes seconds to import
        from bisenet_ros.engines import load_engine, loader
        print(load_engine({str(model)!r}, precision="fp32").description)
        print(*(name for name in sys.modules if name.startswith(("tensorrt", "cuda.bindings", "pycuda"))))
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, timeout=120)
    description, imported = result.stdout.decode().splitlines()
    assert "CPU" in description and imported == ""


def test_the_engines_import_with_numpy_alone():
    program = """
        import sys
        for name in ("onnx", "google.protobuf", "numba", "cv2", "onnxruntime", "openvino", "torch"):
            sys.modules[name] = None
        import bisenet_ros.engines, bisenet_ros.engines.tensorrt.engine
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=60)


@pytest.fixture
def opened(monkeypatch):
    """What the loader makes of its arguments, with the engine itself left out."""

    class Opened:
        def __init__(self, model, card, **options) -> None:
            vars(self).update(options, card=card, description="opened")

    monkeypatch.setattr(tensorrt_engine, "TensorRtEngine", Opened)


def test_a_gpu_runs_the_file_of_the_precision(opened, driver, model, tmp_path):
    assert load_engine(model, device="cuda").precision == "fp16"
    engine = load_engine(save_int8_version(model, tmp_path), device="cuda")
    assert (engine.precision, engine.precision_reason) == ("int8", "the model file is quantized")


def test_a_network_size_reaches_the_engine_and_is_in_its_description(opened, driver, model):
    engine = load_engine(model, device="cuda", network_size="half")
    assert (engine.size_choice, engine.description) == ("half", "opened, network size half of the frame's")
    driver.remove()
    engine = load_engine(model, precision="fp32", network_size="96x64")
    assert engine.description.endswith(", CPU, fp32, network size 96x64")
    assert engine.network_size(128, 192) == (64, 96)
    assert engine.segment(np.zeros((50, 70, 3), np.uint8)).shape == (50, 70)
    assert load_engine(model, precision="fp32").description.endswith("network size 480x360 (card)")
    with pytest.raises(SizeError, match="expected card, half, full or WIDTHxHEIGHT"):
        load_engine(model, network_size="large")


@pytest.mark.parametrize("error", [TensorRtError("TensorRT 11 takes no GPU of compute capability 6.1"), RuntimeError()])
def test_auto_takes_the_cpu_where_tensorrt_refuses_the_gpu_and_warns_once(
    driver, installed, model, monkeypatch, error, caplog
):
    def refuse(*_, **__):
        raise error

    driver()
    installed("tensorrt", "cuda", "cuda.bindings")
    monkeypatch.setattr(tensorrt_engine, "TensorRtEngine", refuse)
    assert ", CPU, " in load_engine(model).description
    assert caplog.text.count("device auto takes the CPU: ") == 1 and str(error) in caplog.text
    with pytest.raises(EngineError):
        load_engine(model, device="cuda")


def test_a_fault_that_only_a_new_process_cures_is_no_reason_for_the_cpu(driver, installed, model, monkeypatch):
    def fail(*_, **__):
        raise FatalEngineError("the GPU answers CUDA_ERROR_ILLEGAL_ADDRESS")

    driver()
    installed("tensorrt", "cuda", "cuda.bindings")
    monkeypatch.setattr(tensorrt_engine, "TensorRtEngine", fail)
    with pytest.raises(FatalEngineError):
        load_engine(model)


def test_batches_reach_the_engine_on_a_gpu_alone(opened, driver, model):
    assert load_engine(model, device="cuda", max_batch=4).max_batch == 4
    driver.remove()
    assert load_engine(model, precision="fp32", max_batch=4).max_batch == 1
    for wrong in (0, 65):
        with pytest.raises(EngineError, match=f"max_batch must be 1 to 64 frames, got {wrong}"):
            load_engine(model, max_batch=wrong)
