# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint in PyTorch's eager mode, beside the engines: for the curve of PyTorch in the paper's Fig. 10."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

import numpy as np

from bisenet_ros.engines.engine import Engine, EngineError, Segmentation
from bisenet_ros.engines.loader import Runtime
from bisenet_ros.model.input_size import CARD
from bisenet_ros.model.model_card import ModelCard

if TYPE_CHECKING:
    from bisenet_ros.network.frame_network import FrameNetwork

CHECKPOINT = ".ckpt"
PROTOCOL = "eager, without a compiler; resizing, normalization, upsampling and argmax in torch, on the network's device"
"""How a checkpoint is run, for the report."""


class EagerEngine(Engine):
    """Masks of a network in plain torch; no confidence."""

    has_confidence = False

    def __init__(self, network: FrameNetwork, card: ModelCard, *, size_choice: str = CARD) -> None:
        super().__init__(card, description=network.description, size_choice=size_choice)
        self._network = network

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        if confidence:
            raise EngineError(f"{self.description} gives no confidence")
        value: Any = frame
        for step in self._steps(frame).values():
            value = step(value)
        return Segmentation(value)

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        value: Any = frame
        stages: Dict[str, float] = {}
        for name, step in self._steps(frame).items():
            start = time.perf_counter()
            value = step(value)
            self._network.wait()
            stages[name] = 1000 * (time.perf_counter() - start)
        return stages

    def _steps(self, frame: np.ndarray) -> Dict[str, Any]:
        size = frame.shape[:2]
        return self._network.steps(size, self.network_size(*size))


def is_checkpoint(model: Path) -> bool:
    return model.suffix == CHECKPOINT


def read_checkpoint_card(model: Path) -> ModelCard:
    """Raises ModelError where the file is no checkpoint of `bisenet train`; EngineError without PyTorch."""
    _require_torch(model)
    from bisenet_ros.network.checkpoint import load_checkpoint

    return load_checkpoint(model)[1]


def torch_runtime(model: Path, device: str) -> Runtime:
    """PyTorch for a checkpoint on a device: "cpu", "cuda", or with "auto" the GPU where torch finds one.

    Raises:
        EngineError: PyTorch is not installed, or finds no GPU for "cuda".
    """
    _require_torch(model)
    from bisenet_ros.network.frame_network import has_gpu

    if device == "cuda" and not has_gpu():
        raise EngineError(f"{model} is a checkpoint, which PyTorch runs, and it finds no GPU for device cuda")
    if device == "cpu" or not has_gpu():
        return Runtime("PyTorch", ("fp32",), "fp32", partial(_open, device="cpu"))
    return Runtime("PyTorch", ("fp32", "fp16"), "fp16", partial(_open, device="cuda"))


def _open(model: Path, card: ModelCard, *, precision: str, size_choice: str = CARD, device: str) -> Engine:
    from bisenet_ros.network.checkpoint import load_checkpoint
    from bisenet_ros.network.frame_network import FrameNetwork

    network = FrameNetwork(load_checkpoint(model)[0], card, device=device, half=precision == "fp16")
    return EagerEngine(network, card, size_choice=size_choice)


def _require_torch(model: Path) -> None:
    try:
        import bisenet_ros.network  # noqa: F401
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{model} is a checkpoint, which PyTorch runs, and the package {error.name!r} is not installed; install it "
            "with `pip install torch`, or give the model file (.onnx) alone"
        ) from None
