"""Chooses the engine for a model file, a device and a precision."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Callable, Optional, Union

import numpy as np

from bisenet_ros.engines.cuda.driver import has_cuda_python, require_gpu
from bisenet_ros.engines.engine import LARGEST_BATCH, Engine
from bisenet_ros.model.model_card import ModelCard, ModelError, read_card

DEVICES = ("auto", "cpu", "cuda")
CPU_PRECISIONS = ("fp32", "bf16")
CUDA_PRECISIONS = ("fp32", "fp16", "int8")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def load_engine(
    model: Union[str, Path],
    device: str = "auto",
    precision: str = "auto",
    cache: Optional[Path] = None,
    *,
    max_batch: int = 1,
) -> Engine:
    """The fastest installed engine for a model file.

    On the CPU that is OpenVINO where it is installed, else ONNX Runtime; on a GPU it is TensorRT, which builds its plan
    at the first frame of a size, unless the cache has it.

    Args:
        model: an ONNX file with its card inside, as `bisenet export` writes it.
        device: "cpu", "cuda", or "auto": the GPU where TensorRT, a driver and a GPU are all there, else the CPU.
        precision: "fp32", "bf16" (CPU), "fp16" or "int8" (GPU), or "auto": on a GPU int8 if the model file is
            quantized, else fp16; on the CPU bf16 where it computes in it, else fp32, and a quantized file as it is.
        cache: a folder for TensorRT's plans, by default ~/.cache/bisenet_ros.
        max_batch: the most frames that TensorRT may run at once; a CPU engine's own `max_batch` stays 1.

    Raises:
        ModelError: the file is missing or broken, has no card, or its network does not do what the card says.
        ValueError: an unknown device or precision, or one that is not to be had here or not with this file; a
            `max_batch` that is not 1 to 64.
        ModuleNotFoundError: no runtime is installed.
    """
    _one_of("device", device, DEVICES)
    _one_of("precision", precision, PRECISIONS)
    if not 1 <= max_batch <= LARGEST_BATCH:
        raise ValueError(f"max_batch must be 1 to {LARGEST_BATCH} frames, got {max_batch}")
    model = Path(model)
    card = read_card(model)
    if device == "cuda" or (device == "auto" and precision != "bf16" and has_usable_gpu()):
        return _load_on_gpu(model, card, precision, cache, max_batch)
    if precision not in ("auto", *CPU_PRECISIONS):
        raise ValueError(f"precision {precision} needs a GPU with TensorRT; choose fp32 or bf16 for the CPU")
    create = _cpu_runtime(precision)
    try:
        engine = create(model, card)
        # The first frame compiles and allocates, and shows whether the network is what its card says.
        engine.segment(np.zeros((*card.network_size, 3), np.uint8))
    except Exception as error:  # each runtime has its own
        raise ModelError(f"{model} cannot be run: {error}") from error
    return engine


def has_usable_gpu() -> bool:
    """Whether TensorRT, what it needs from Python, a driver and a GPU are all there; nothing of it is imported."""
    has_tensorrt = any(map(importlib.util.find_spec, ("tensorrt", "tensorrt_rtx")))
    if not has_tensorrt or not (has_cuda_python() or importlib.util.find_spec("pycuda")):
        return False
    try:
        require_gpu()
    except RuntimeError:
        return False
    return True


def _load_on_gpu(model: Path, card: ModelCard, precision: str, cache: Optional[Path], max_batch: int) -> Engine:
    if precision not in ("auto", *CUDA_PRECISIONS):
        raise ValueError(f"precision {precision} is the CPU's; choose {', '.join(CUDA_PRECISIONS)} for device cuda")
    from bisenet_ros.engines.tensorrt.builder import choose_precision
    from bisenet_ros.engines.tensorrt.engine import TensorRtEngine

    precision = choose_precision(model, precision)
    try:
        return TensorRtEngine(model, card, precision=precision, cache=cache, max_batch=max_batch)
    except RuntimeError as error:
        raise ValueError(f"device cuda cannot be used: {error}") from error


def _cpu_runtime(precision: str) -> Callable[[Path, ModelCard], Engine]:
    if importlib.util.find_spec("openvino"):
        from bisenet_ros.engines.cpu.cpu_features import computes_in_bf16
        from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine

        automatic = "bf16" if computes_in_bf16() else "fp32"
        return partial(OpenVinoEngine, precision=automatic if precision == "auto" else precision)
    if precision == "bf16":
        raise ValueError("precision bf16 needs OpenVINO; install it with `pip install openvino`, or choose fp32")
    if importlib.util.find_spec("onnxruntime"):
        from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine
    raise ModuleNotFoundError(
        "no engine is installed; install one with `pip install openvino` or `pip install onnxruntime`"
    )


def _one_of(what: str, value: str, known: tuple) -> None:
    if value not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
