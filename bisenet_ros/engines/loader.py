"""Chooses the engine for a model file, a device and a precision."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Callable, Union

import numpy as np

from bisenet_ros.engines.engine import Engine
from bisenet_ros.model_card import ModelCard, ModelError, read_card

DEVICES = ("auto", "cpu")
PRECISIONS = ("auto", "fp32", "bf16")


def load_engine(model: Union[str, Path], device: str = "auto", precision: str = "auto") -> Engine:
    """The fastest installed engine for a model file: OpenVINO where it is installed, else ONNX Runtime.

    Args:
        model: an ONNX file with its card inside, as `bisenet export` writes it.
        device: "auto" or "cpu".
        precision: "fp32", "bf16", or "auto": bf16 where the CPU computes in it, else fp32.

    Raises:
        ModelError: the file is missing or broken, has no card, or its network does not do what the card says.
        ValueError: an unknown device or precision, or one that is not to be had here.
        ModuleNotFoundError: no runtime is installed.
    """
    _one_of("device", device, DEVICES)
    _one_of("precision", precision, PRECISIONS)
    model = Path(model)
    card = read_card(model)
    create = _cpu_runtime(precision)
    try:
        engine = create(model, card)
        # The first frame compiles and allocates, and shows whether the network is what its card says.
        engine.segment(np.zeros((*card.network_size, 3), np.uint8))
    except Exception as error:  # each runtime has its own
        raise ModelError(f"{model} cannot be run: {error}") from error
    return engine


def _cpu_runtime(precision: str) -> Callable[[Path, ModelCard], Engine]:
    if importlib.util.find_spec("openvino"):
        from bisenet_ros.engines.openvino_engine import OpenVinoEngine, computes_in_bf16

        automatic = "bf16" if computes_in_bf16() else "fp32"
        return partial(OpenVinoEngine, precision=automatic if precision == "auto" else precision)
    if precision == "bf16":
        raise ValueError("precision bf16 needs OpenVINO; install it with `pip install openvino`, or choose fp32")
    if importlib.util.find_spec("onnxruntime"):
        from bisenet_ros.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine
    raise ModuleNotFoundError(
        "no engine is installed; install one with `pip install openvino` or `pip install onnxruntime`"
    )


def _one_of(what: str, value: str, known: tuple) -> None:
    if value not in known:
        raise ValueError(f"{what} must be one of {', '.join(known)}, got {value!r}")
