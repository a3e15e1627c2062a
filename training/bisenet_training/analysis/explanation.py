# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's Figs. 8, 9 and 11: Grad-CAM and features of the branches, masks of several networks side by side."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Sequence

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network.checkpoint import load_checkpoint
from bisenet_training.analysis.torch_engine import TorchEngine
from bisenet_training.errors import OptionError

STAGES = ("s1", "s2", "s3")
"""The stages of the detail branch."""
COLUMN_WIDTH = 3.2
"""Width of a column of a figure, in inches."""


def choose_classes(engine: TorchEngine, frames: Sequence[np.ndarray], *, class_name: str | None = None) -> list[int]:
    """The id of the class to explain in each frame (H x W x 3 uint8 BGR).

    Args:
        class_name: None takes the class with the most pixels in each frame.

    Raises:
        OptionError: no such class, or the network finds none of it in a frame.
    """
    names, chosen = engine.card.classes.names, []
    if class_name is not None and class_name not in names:
        raise OptionError(f"--class must be one of {', '.join(names)}, got {class_name!r}")
    for frame in frames:
        mask = engine.frame_logits(frame, engine.network_size(*frame.shape[:2])).argmax(axis=0)
        pixels = np.bincount(mask.ravel(), minlength=len(names))
        class_id = int(pixels.argmax()) if class_name is None else names.index(class_name)
        if not pixels[class_id]:
            found = ", ".join(name for name, count in zip(names, pixels) if count)
            raise OptionError(f"the network finds no {class_name} in one of the images, only {found}")
        chosen.append(class_id)
    return chosen


def grad_cam(network: nn.Module, stages: Sequence[nn.Module], image: Tensor, class_id: int) -> list[Tensor]:
    """Grad-CAM (Selvaraju et al. 2017): where each stage's features speak for a class.

    The score is the sum of the class's logits over the pixels that the network gives to it. Each channel of a stage
    weighs its mean gradient of the score; the map is the positive part of the weighted sum of the channels.

    Args:
        network: in eval mode; image to B x classes x h x w logits.
        stages: modules of it, each called once and returning B x C x h' x w' features.
        image: 1 x 3 x H x W float, normalized.

    Returns:
        For each stage h' x w' float32, 0 or more. All zeros where no pixel is given to the class.
    """
    with torch.enable_grad():
        logits, outputs = _run(network, stages, image.detach().requires_grad_())
    score = logits[:, class_id][logits.argmax(dim=1) == class_id].sum()
    weights = [gradient.mean(dim=(2, 3), keepdim=True) for gradient in torch.autograd.grad(score, outputs)]
    return [F.relu((weight * output.detach()).sum(dim=1))[0] for weight, output in zip(weights, outputs)]


def _run(network: nn.Module, parts: Sequence[nn.Module], image: Tensor) -> tuple[Tensor, list[Any]]:
    """Runs a network on an image; returns its output, and the output of each of these parts of it."""
    outputs: dict[nn.Module, Any] = {}
    with ExitStack() as hooks:
        for part in parts:
            keep = part.register_forward_hook(lambda module, _, output: outputs.update({module: output}))
            hooks.enter_context(keep)
        result = network(image)
    return result, [outputs[part] for part in parts]


def draw_grad_cam(engine: TorchEngine, frames: Sequence[np.ndarray], class_ids: Sequence[int]) -> Figure:
    """Fig. 8: a row for each frame (H x W x 3 uint8 BGR) and its class: the frame, then the heat maps of S1 to S3.

    Each map is drawn from 0 (blue) to its own maximum (red).
    """
    figure, axes = _grid(frames, ["image", *(f"{stage.upper()} of the detail branch" for stage in STAGES)])
    figure.supxlabel("Each map goes from 0 (blue) to its own maximum (red).", fontsize="medium")
    for row, frame, class_id in zip(axes, frames, class_ids):
        image = _network_input(engine, frame)
        stages = [getattr(engine.network.detail, stage) for stage in STAGES]
        row[0].set_ylabel(f"Grad-CAM of {engine.card.classes.names[class_id]}")
        for axis in row:
            axis.imshow(frame[..., ::-1])
        for axis, heat in zip(row[1:], grad_cam(engine.network, stages, image, class_id)):
            axis.imshow(cv2.resize(heat.numpy(), frame.shape[1::-1]), cmap="jet", vmin=0, alpha=0.5)
    return figure


def draw_features(engine: TorchEngine, frames: Sequence[np.ndarray]) -> Figure:
    """Fig. 9 of one network with both branches: a row for each frame (H x W x 3 uint8 BGR).

    The frame, then what the detail branch, the semantics branch and the aggregation give, then the mask. A picture of
    features is the mean magnitude of their channels, from its least (dark) to its largest (bright).
    """
    titles = ["image", "detail branch", "semantics branch", "aggregation", "mask"]
    figure, axes = _grid(frames, titles)
    figure.supxlabel("Features: the mean magnitude of their channels, each from its least to its largest.")
    for row, frame in zip(axes, frames):
        row[0].imshow(frame[..., ::-1])
        for axis, features in zip(row[1:], branch_outputs(engine.network, _network_input(engine, frame))):
            magnitude = features[0].abs().mean(dim=0).numpy()
            axis.imshow(cv2.resize(magnitude, frame.shape[1::-1]), cmap="viridis")
        row[-1].imshow(engine.card.classes.color_table()[engine.segment(frame)])
    return figure


@torch.inference_mode()
def branch_outputs(network: nn.Module, image: Tensor) -> list[Tensor]:
    """Outputs of the detail branch (at 1/8), the semantics branch (1/32) and the aggregation (1/8): B x C x h x w."""
    parts = [getattr(network, part) for part in ("detail", "semantics", "aggregation")]
    _, (detail, semantics, aggregated) = _run(network, parts, image)
    return [detail, semantics.s5_5, aggregated]


def _network_input(engine: TorchEngine, frame: np.ndarray) -> Tensor:
    """Resizes and normalizes a frame: H x W x 3 uint8 BGR to 1 x 3 x h x w float."""
    size = engine.network_size(*frame.shape[:2])
    return torch.from_numpy(normalize_frame(frame, size, mean=engine.card.mean, std=engine.card.std))


def draw_masks(engines: dict[str, TorchEngine], frames: Sequence[np.ndarray]) -> Figure:
    """Figs. 9 and 11: a row for each frame (H x W x 3 uint8 BGR): the frame, then its mask by each network.

    Raises:
        ModelError: the networks have different classes.
    """
    (first, engine), *others = engines.items()
    classes = engine.card.classes
    for name, other in others:
        if other.card.classes.names != classes.names:
            raise ModelError(
                f"expected networks of the same classes, got {classes.names} ({first}) and "
                f"{other.card.classes.names} ({name}); train them on one data set"
            )
    figure, axes = _grid(frames, ["image", *engines])
    seen: set[int] = set()
    for row, frame in zip(axes, frames):
        row[0].imshow(frame[..., ::-1])
        for axis, engine in zip(row[1:], engines.values()):
            mask = engine.segment(frame)
            seen.update(np.unique(mask).tolist())
            axis.imshow(classes.color_table()[mask])
    colors = classes.color_table() / 255
    legend = [Patch(facecolor=colors[i], edgecolor="gray", label=classes[i].name) for i in sorted(seen)]
    figure.legend(handles=legend, loc="outside lower center", ncols=8, frameon=False)
    return figure


def _grid(frames: Sequence[np.ndarray], titles: list[str]) -> tuple[Figure, np.ndarray]:
    """Axes in a row for each frame, in its shape, and a column for each title."""
    tallest = max(frame.shape[0] / frame.shape[1] for frame in frames)
    size = (COLUMN_WIDTH * len(titles), (COLUMN_WIDTH * tallest + 0.1) * len(frames) + 0.8)
    figure = Figure(figsize=size, layout="compressed")
    axes = figure.subplots(len(frames), len(titles), squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for axis, title in zip(axes[0], titles):
        axis.set_title(title)
    return figure, axes


def load_network(path: Path, *, branches: Sequence[str]) -> TorchEngine:
    """The network of a checkpoint that was trained with one of these `branches`.

    Raises:
        ModelError: the checkpoint cannot be used, or was trained with other branches.
    """
    if path.suffix == ".onnx":
        raise ModelError(
            f"{path} is a model file, which has no gradients; give the checkpoint (.ckpt) it was exported from"
        )
    network, card = load_checkpoint(path)
    if network.branches not in branches:
        raise ModelError(
            f"expected a checkpoint trained with network.branches={' or '.join(branches)}, "
            f"and {path} was trained with {network.branches}"
        )
    return TorchEngine(network, card, device="cpu")
