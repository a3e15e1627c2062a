# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Chooses the engine for a model file: the device, the runtime that is installed for it, and the precision."""

import importlib.util
import logging
from pathlib import Path
from typing import Callable, List, NamedTuple, Optional, Sequence, Set, Union

import numpy as np

from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.cuda.driver import has_cuda_python
from bisenet_ros.engines.cuda.libcuda import require_gpu
from bisenet_ros.engines.engine import Engine, EngineError, FatalEngineError, check_max_batch
from bisenet_ros.engines.tensorrt.plan import PRECISIONS as CUDA_PRECISIONS
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError, is_quantized

DEVICES = ("auto", "cpu", "cuda")
CPU_PRECISIONS = ("fp32", "bf16")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")

logger = logging.getLogger(__name__)


class Runtime(NamedTuple):
    """An installed library that runs networks.

    Attributes:
        name: for people.
        precisions: those it has instructions for here; it may emulate others.
        automatic: the one it runs in if nothing else is asked for.
        create: (model: Path, card: ModelCard, *, precision: str) to an engine.
    """

    name: str
    precisions: Sequence[str]
    automatic: str
    create: Callable[..., Engine]


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
    at the first frame of a size, unless the cache has it. Where a GPU is there but TensorRT cannot use it, "auto" takes
    the CPU after all, and a warning says why.

    Args:
        model: an ONNX file with its card inside, as `bisenet export` writes it.
        device: "cpu", "cuda" or "auto"; see `choose_device`.
        precision: "fp32", "bf16" (CPU), "fp16" or "int8" (GPU), or "auto"; see `choose_precision`.
        cache: a folder for TensorRT's plans, by default ~/.cache/bisenet_ros.
        max_batch: the most frames that TensorRT may run at once; a CPU engine's own `max_batch` stays 1.

    Raises:
        ModelError: the file is missing or broken, has no card, or its network does not do what the card says.
        EngineError: an unknown device or precision, or one that is not to be had here or not with this file; no
            runtime is installed; a `max_batch` that is not 1 to 64.
        FatalEngineError: the GPU has failed, and only a new process can use it.
    """
    check_max_batch(max_batch)
    chosen = choose_device(device, precision)
    model = Path(model)
    card = read_card(model)
    if chosen == "cuda":
        on_gpu = choose_precision(model, device="cuda", precision=precision)
        try:
            return _open_tensorrt(model, card, precision=on_gpu, cache=cache, max_batch=max_batch)
        except EngineError as error:
            if device != "auto":
                raise
            logger.warning("device auto takes the CPU: %s", error)
    precision = choose_precision(model, device="cpu", precision=precision)
    runtime = installed_runtimes("cpu")[0]
    try:
        engine = runtime.create(model, card, precision=precision)
        # The first frame compiles and allocates, and shows whether the network is what its card says.
        engine.segment(np.zeros((*card.network_size, 3), np.uint8))
    except Exception as error:  # each runtime has its own
        raise ModelError(f"{model} cannot be run: {error}") from error
    return engine


def choose_device(device: str, precision: str = "auto") -> str:
    """The device, "cpu" or "cuda"; "auto" is the GPU where all it needs is there, unless bf16 is asked for.

    Raises:
        EngineError: an unknown device or precision.
    """
    for what, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise EngineError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    if device != "auto":
        return device
    return "cuda" if precision != "bf16" and has_usable_gpu() else "cpu"


def choose_precision(model: Path, *, device: str, precision: str) -> str:
    """The precision that a model file is run in.

    "auto" is, on a GPU, int8 if the file is quantized, else fp16; on the CPU bf16 where OpenVINO is installed and the
    CPU has instructions for it, else fp32. The CPU runs the int8 parts of a quantized file as they are.

    Args:
        device: "cpu" or "cuda".
        precision: "auto", or what is asked for.

    Raises:
        EngineError: the device or the file does not go with the precision.
    """
    if device == "cpu":
        if precision not in ("auto", *CPU_PRECISIONS):
            raise EngineError(f"precision {precision} needs a GPU with TensorRT; choose fp32 or bf16 for the CPU")
        if precision == "bf16" and not _is_installed("openvino"):
            raise EngineError("precision bf16 needs OpenVINO; install it with `pip install openvino`, or choose fp32")
        return installed_runtimes("cpu")[0].automatic if precision == "auto" else precision
    if precision not in ("auto", *CUDA_PRECISIONS):
        raise EngineError(f"precision {precision} is the CPU's; choose {', '.join(CUDA_PRECISIONS)} for device cuda")
    quantized = is_quantized(model)
    if precision == "auto":
        return _tensorrt(quantized=quantized).automatic
    if quantized and precision != "int8":
        raise EngineError(
            f"{model} is quantized, which is precision int8, not {precision}; give the model file that it was made from"
        )
    if not quantized and precision == "int8":
        raise EngineError(
            f"precision int8 needs a quantized model, and {model} is none; make one with `bisenet build-engine {model} "
            "--size WIDTHxHEIGHT --precision int8 --calibration FOLDER`, where FOLDER has images of your camera"
        )
    return precision


def installed_runtimes(device: str, *, quantized: bool = False) -> List[Runtime]:
    """The runtimes for "cpu", for "cuda" or, with "auto", for both; the fastest of each device first.

    Args:
        quantized: the model file is, which TensorRT runs only in int8.

    Raises:
        EngineError: there is none; the message says what to install.
    """
    runtimes: List[Runtime] = []
    if device != "cuda" and _is_installed("openvino"):
        precisions = CPU_PRECISIONS if computes_in_bf16() else ("fp32",)
        runtimes.append(Runtime("OpenVINO", precisions, precisions[-1], _open_openvino))
    if device != "cuda" and _is_installed("onnxruntime"):
        runtimes.append(Runtime("ONNX Runtime", ("fp32",), "fp32", _open_onnxruntime))
    if device != "cpu" and _has_tensorrt():
        runtimes.append(_tensorrt(quantized=quantized))
    if not runtimes:
        packages = "tensorrt" if device == "cuda" else "openvino` or `pip install onnxruntime"
        raise EngineError(f"no engine is installed for device {device}; install one with `pip install {packages}`")
    return runtimes


def _tensorrt(*, quantized: bool) -> Runtime:
    if quantized:
        return Runtime("TensorRT", ("int8",), "int8", _open_tensorrt)
    return Runtime("TensorRT", CUDA_PRECISIONS, "fp16", _open_tensorrt)


def computes_in_bf16() -> bool:
    """Whether the CPU has bf16 instructions; libraries emulate it, slowly, where it has not."""
    return not _cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})


def _cpu_flags() -> Set[str]:
    """The CPU's instruction set extensions by the kernel's names; empty where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())


def has_usable_gpu() -> bool:
    """Whether TensorRT, what it needs from Python, a driver and a GPU are all there; nothing of it is imported."""
    if not _has_tensorrt() or not (has_cuda_python() or _is_installed("pycuda")):
        return False
    try:
        require_gpu()
    except GpuError:
        return False
    return True


def _open_openvino(model: Path, card: ModelCard, *, precision: str) -> Engine:
    from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(model, card, precision=precision)


def _open_onnxruntime(model: Path, card: ModelCard, *, precision: str) -> Engine:
    from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, card)


def _open_tensorrt(
    model: Path, card: ModelCard, *, precision: str, cache: Optional[Path] = None, max_batch: int = 1
) -> Engine:
    from bisenet_ros.engines.tensorrt.engine import TensorRtEngine

    try:
        return TensorRtEngine(model, card, precision=precision, cache=cache, max_batch=max_batch)
    except FatalEngineError:
        raise
    except (GpuError, RuntimeError) as error:
        raise EngineError(f"device cuda cannot be used: {error}") from error


def _has_tensorrt() -> bool:
    return _is_installed("tensorrt") or _is_installed("tensorrt_rtx")


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
