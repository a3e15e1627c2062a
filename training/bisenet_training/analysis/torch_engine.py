# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A checkpoint as an engine: frames are processed as with an exported model, with the network in torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.model.class_groups import Grouping, read_class_groups
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.grouped_model import NEVER
from bisenet_ros.model.input_size import CARD, check_size_choice
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network.checkpoint import load_checkpoint
from bisenet_training.errors import OptionError


class TorchEngine(CpuEngine):
    """fp32, on the GPU where there is one; frames are resized and logits upsampled on the CPU.

    Args:
        network: returns logits at 1/8 of its input; it is moved to the device.
        device: "cpu", "cuda", or "auto": cuda where torch finds it.
        size_choice: a `choice` of `network_size`.

    Raises:
        OptionError: an unknown device, or cuda where torch finds none.
    """

    def __init__(self, network: nn.Module, card: ModelCard, *, device: str = "auto", size_choice: str = CARD) -> None:
        if device not in DEVICES:
            raise OptionError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
        if device == "cuda" and not torch.cuda.is_available():
            raise OptionError("device cuda needs a GPU that torch can use, and it finds none; choose cpu or auto")
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self.network = network.eval().to(self._device)
        where = torch.cuda.get_device_name() if self._device == "cuda" else "CPU"
        super().__init__(card, description=f"torch {torch.__version__}, {where}, fp32", size_choice=size_choice)

    def _logits(self, image: np.ndarray) -> np.ndarray:
        # cuDNN would otherwise compute in TF32, of 10 bits, and call it fp32.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return self.network(torch.from_numpy(image).to(self._device)).cpu().numpy()


class GroupedNetwork(nn.Module):
    """A network whose classes are merged into groups, as in `bisenet_ros.model.grouped_model`."""

    def __init__(self, network: nn.Module, grouping: Grouping) -> None:
        super().__init__()
        self.network = network
        self.members = [np.flatnonzero(grouping.ids == number).tolist() for number in range(len(grouping.classes))]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(images)
        never = torch.full_like(logits[:, 0], NEVER)
        return torch.stack([logits[:, ids].logsumexp(dim=1) if ids else never for ids in self.members], dim=1)


def open_engine(
    path: Path,
    *,
    device: str = "auto",
    precision: str = "fp32",
    network_size: str = CARD,
    class_map: Path | None = None,
) -> Engine:
    """The engine for a model file or a checkpoint; `network_size` is the size of frames for the network.

    Args:
        class_map: a file that says what the model's classes are merged into.

    Raises:
        ModelError: the file is neither, or cannot be used.
        BisenetError: the device or precision is not available, or the class map cannot be used.
        OSError: there is no such class map.
    """
    if _is_model_file(path):
        return load_engine(path, device=device, precision=precision, network_size=network_size, class_map=class_map)
    if precision not in ("fp32", "auto"):
        raise OptionError(f"{path} is a checkpoint, which is scored in fp32; precision {precision} is for model files")
    check_size_choice(network_size)
    network, card = load_checkpoint(path)
    if class_map is None:
        return TorchEngine(network, card, device=device, size_choice=network_size)
    grouping = read_class_groups(class_map).fit(card.classes)
    grouped = GroupedNetwork(network, grouping), replace(card, classes=grouping.classes)
    engine = TorchEngine(*grouped, device=device, size_choice=network_size)
    engine.unlisted = grouping.unlisted
    return engine


def read_classes(path: Path) -> ClassMap:
    """The classes of a model file or a checkpoint; raises ModelError where it is neither."""
    return (read_card(path) if _is_model_file(path) else load_checkpoint(path)[1]).classes


def _is_model_file(path: Path) -> bool:
    """Whether it is a model file, or else a checkpoint; raises ModelError where its name is of neither."""
    if path.suffix not in (".onnx", ".ckpt"):
        raise ModelError(f"expected a model file (.onnx) or a checkpoint of `bisenet train` (.ckpt), got {path}")
    return path.suffix == ".onnx"
