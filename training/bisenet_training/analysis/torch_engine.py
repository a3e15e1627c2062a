# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as an engine: frames are processed as with an exported model, with the network in torch."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.model.input_size import CARD, check_size_choice
from bisenet_ros.model.model_card import ModelCard, ModelError
from bisenet_training.errors import OptionError
from bisenet_training.export import load_checkpoint

DEVICES = ("auto", "cpu", "cuda")


class TorchEngine(CpuEngine):
    """fp32, on the GPU where there is one; frames are resized and logits upsampled on the CPU.

    Args:
        network: returns logits at 1/8 of its input; it is moved to the device.
        device: "cpu", "cuda", or "auto": cuda where torch finds it.

    Raises:
        OptionError: an unknown device, or cuda where torch finds none.
    """

    def __init__(self, network: nn.Module, card: ModelCard, *, device: str = "auto") -> None:
        if device not in DEVICES:
            raise OptionError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
        if device == "cuda" and not torch.cuda.is_available():
            raise OptionError("device cuda needs a GPU that torch can use, and it finds none; choose cpu or auto")
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.network = network.eval().to(self._device)
        where = torch.cuda.get_device_name() if self._device == "cuda" else "CPU"
        super().__init__(card, description=f"torch {torch.__version__}, {where}, fp32")

    def _logits(self, image: np.ndarray) -> np.ndarray:
        # cuDNN would otherwise compute in TF32, of 10 bits, and call it fp32.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False):
            return self.network(torch.from_numpy(image).to(self._device)).cpu().numpy()


def open_engine(path: Path, *, device: str = "auto", precision: str = "fp32", network_size: str = CARD) -> Engine:
    """The engine for a model file or a checkpoint; `network_size` is the size of frames for the network.

    Raises:
        ModelError: the file is neither, or cannot be used.
        BisenetError: the device or precision is not available.
    """
    if path.suffix not in (".onnx", ".ckpt"):
        raise ModelError(f"expected a model file (.onnx) or a checkpoint of `bisenet train` (.ckpt), got {path}")
    if path.suffix == ".onnx":
        return load_engine(path, device=device, precision=precision, network_size=network_size)
    if precision not in ("fp32", "auto"):
        raise OptionError(f"{path} is a checkpoint, which is scored in fp32; precision {precision} is for model files")
    check_size_choice(network_size)
    engine = TorchEngine(*load_checkpoint(path), device=device)
    engine.size_choice = network_size
    return engine
