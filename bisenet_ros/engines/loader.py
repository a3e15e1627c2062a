"""Chooses the engine for a model file, a device and a precision."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Union

from bisenet_ros.engines.engine import Engine
from bisenet_ros.model_card import ModelError, read_card

DEVICES = ("auto", "cpu")
PRECISIONS = ("auto", "fp32", "bf16")


def load_engine(model: Union[str, Path], device: str = "auto", precision: str = "auto") -> Engine:
    """The fastest installed engine for a model file: OpenVINO where it is installed, else ONNX Runtime.

    Args:
        model: an ONNX file with its card inside, as `bisenet export` writes it.
        device: "auto" or "cpu".
        precision: "fp32", "bf16", or "auto": bf16 where the CPU computes in it, else fp32.

    Raises:
        ModelError: the file is missing, broken, or has no card.
        ValueError: an unknown device or precision, or one that is not to be had here.
        ModuleNotFoundError: no runtime is installed.
    """
    _one_of("device", device, DEVICES)
    _one_of("precision", precision, PRECISIONS)
    model = Path(model)
    read_card(model)
    try:
        return _cpu_engine(model, precision)
    except RuntimeError as error:
        raise ModelError(f"{model} cannot be loaded: {error}") from error


def _cpu_engine(model: Path, precision: str) -> Engine:
    if importlib.util.find_spec("openvino"):
        from bisenet_ros.engines.openvino_engine import OpenVinoEngine, computes_in_bf16

        automatic = "bf16" if computes_in_bf16() else "fp32"
        return OpenVinoEngine(model, precision=automatic if precision == "auto" else precision)
    if precision == "bf16":
        raise ValueError("precision bf16 needs OpenVINO; install it with `pip install openvino`, or choose fp32")
    if importlib.util.find_spec("onnxruntime"):
        from bisenet_ros.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(model)
    raise ModuleNotFoundError(
        "no engine is installed; install one with `pip install openvino` or `pip install onnxruntime`"
    )


def _one_of(what: str, value: str, known: tuple) -> None:
    if value not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
