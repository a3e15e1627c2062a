"""What the branches look at, as pictures: `bisenet explain CHECKPOINT IMAGE... -o FOLDER` (Figs. 8 and 9)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.images.image_file import silence_opencv
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import ModelError
from bisenet_training.analysis.grad_cam import grad_cam
from bisenet_training.analysis.torch_engine import TorchEngine
from bisenet_training.export import load_checkpoint

STAGES = ("s1", "s2", "s3")
"""Of the detail branch."""
DOTS_PER_INCH = 150
COLUMN = 3.2
"""Inches."""
DESCRIPTION = """\
Draws the paper's Fig. 8 into grad_cam.png: for each image the Grad-CAM of the detail branch's stages S1 to S3, for one
class. With --detail-only and --semantics-only also Fig. 9 into branches.png: the masks of networks that were trained
with one branch alone, beside those of CHECKPOINT with both. A branch that is merely switched off in a network trained
with both says nothing, so that Fig. 9 needs all three; recipes for them are among the ablations."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train` (.ckpt)")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="pictures go here")
    parser.add_argument(
        "--class", dest="class_name", metavar="NAME", help="explain this class; default: the most frequent in the image"
    )
    for branch in ("detail", "semantics"):
        parser.add_argument(
            f"--{branch}-only",
            type=Path,
            metavar="CHECKPOINT",
            help=f"for Fig. 9: a checkpoint trained with the {branch} branch alone",
        )


def run(arguments: argparse.Namespace) -> int:
    if (arguments.detail_only is None) != (arguments.semantics_only is None):
        raise ValueError("Fig. 9 compares three networks; give both --detail-only and --semantics-only, or neither")
    compare = arguments.detail_only is not None
    explained = _load(arguments.checkpoint, branches=("both",) if compare else ("both", "detail"))
    images = [_read_image(path) for path in arguments.images]
    figures = {}
    if compare:
        engines = {
            "detail only": _load(arguments.detail_only, branches=("detail",)),
            "semantics only": _load(arguments.semantics_only, branches=("semantics",)),
            "both": explained,
        }
        figures["branches.png"] = draw_masks(engines, images)
    class_ids = choose_classes(explained, images, class_name=arguments.class_name)
    figures["grad_cam.png"] = draw_grad_cam(explained, images, class_ids)
    for path, class_id in zip(arguments.images, class_ids):
        print(f"{path}: Grad-CAM of {explained.card.classes.names[class_id]}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(arguments.output / name, dpi=DOTS_PER_INCH, bbox_inches="tight")
        print(arguments.output / name)
    return 0


def choose_classes(engine: TorchEngine, frames: Sequence[np.ndarray], *, class_name: Optional[str] = None) -> List[int]:
    """The id of the class to explain in each frame (H x W x 3 uint8 BGR).

    Args:
        class_name: None takes the class with the most pixels in each frame.

    Raises:
        ValueError: no such class, or the network finds none of it in a frame.
    """
    labels = engine.card.classes
    class_id = None if class_name is None else _class_id(labels, class_name)
    logits = (engine.frame_logits(frame, engine.network_size(*frame.shape[:2])) for frame in frames)
    return [_choose_class(planes.argmax(axis=0), labels, class_id) for planes in logits]


def draw_grad_cam(engine: TorchEngine, frames: Sequence[np.ndarray], class_ids: Sequence[int]) -> Figure:
    """Fig. 8: a row for each frame (H x W x 3 uint8 BGR): the frame, then the heat maps of S1, S2 and S3 over it.

    Each map is drawn from 0 (blue) to its own maximum (red).

    Args:
        class_ids: the class to explain in each frame.
    """
    figure, axes = _grid(frames, ["image", *(f"{stage.upper()} of the detail branch" for stage in STAGES)])
    figure.supxlabel("Each map goes from 0 (blue) to its own maximum (red).", fontsize="medium")
    for row, frame, class_id in zip(axes, frames, class_ids):
        size = engine.network_size(*frame.shape[:2])
        image = torch.from_numpy(normalize_frame(frame, size, mean=engine.card.mean, std=engine.card.std))
        stages = [getattr(engine.network.detail, stage) for stage in STAGES]
        row[0].set_ylabel(f"Grad-CAM of {engine.card.classes.names[class_id]}")
        for axis in row:
            axis.imshow(frame[..., ::-1])
        for axis, heat in zip(row[1:], grad_cam(engine.network, stages, image, class_id)):
            axis.imshow(cv2.resize(heat.numpy(), frame.shape[1::-1]), cmap="jet", vmin=0, alpha=0.5)
    return figure


def draw_masks(engines: Dict[str, TorchEngine], frames: Sequence[np.ndarray]) -> Figure:
    """Fig. 9: a row for each frame (H x W x 3 uint8 BGR): the frame, then its mask by each network.

    Raises:
        ModelError: the networks have different classes.
    """
    (first, engine), *others = engines.items()
    labels = engine.card.classes
    for name, other in others:
        if other.card.classes.names != labels.names:
            raise ModelError(
                f"expected networks of the same classes, got {labels.names} ({first}) and "
                f"{other.card.classes.names} ({name}); train them on one data set"
            )
    figure, axes = _grid(frames, ["image", *engines])
    seen = np.zeros(256, bool)
    for row, frame in zip(axes, frames):
        row[0].imshow(frame[..., ::-1])
        for axis, engine in zip(row[1:], engines.values()):
            mask = engine.segment(frame)
            seen[np.unique(mask)] = True
            axis.imshow(labels.color_table()[mask])
    legend = [
        Patch(facecolor="#{:02x}{:02x}{:02x}".format(*label.color), edgecolor="gray", label=label.name)
        for label, occurs in zip(labels, seen)
        if occurs
    ]
    figure.legend(handles=legend, loc="outside lower center", ncols=8, frameon=False)
    return figure


def _grid(frames: Sequence[np.ndarray], titles: List[str]) -> Tuple[Figure, np.ndarray]:
    """Axes in a row for each frame, in its shape, and a column for each title."""
    tallest = max(frame.shape[0] / frame.shape[1] for frame in frames)
    size = (COLUMN * len(titles), (COLUMN * tallest + 0.1) * len(frames) + 0.8)
    figure = Figure(figsize=size, layout="compressed")
    axes = figure.subplots(len(frames), len(titles), squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, title in zip(axes[0], titles):
        axis.set_title(title)
    return figure, axes


def _load(path: Path, *, branches: Sequence[str]) -> TorchEngine:
    """The network of a checkpoint that was trained with one of these `branches`."""
    if path.suffix == ".onnx":
        raise ModelError(
            f"{path} is a model file, through which no gradient flows; give the checkpoint (.ckpt) it was exported from"
        )
    network, card = load_checkpoint(path)
    if network.branches not in branches:
        raise ModelError(
            f"expected a checkpoint trained with network.branches={' or '.join(branches)}, "
            f"and {path} was trained with {network.branches}"
        )
    return TorchEngine(network, card, device="cpu")


def _class_id(labels: ClassMap, name: str) -> int:
    if name not in labels.names:
        raise ValueError(f"--class must be one of {', '.join(labels.names)}, got {name!r}")
    return labels.names.index(name)


def _choose_class(mask: np.ndarray, labels: ClassMap, class_id: Optional[int]) -> int:
    """The class to explain in a mask, which has to have it."""
    pixels = np.bincount(mask.ravel(), minlength=len(labels))
    if class_id is None:
        return int(pixels.argmax())
    if not pixels[class_id]:
        found = ", ".join(name for name, count in zip(labels.names, pixels) if count)
        raise ValueError(f"the network finds no {labels.names[class_id]} in one of the images, only {found}")
    return class_id


def _read_image(path: Path) -> np.ndarray:
    silence_opencv()
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f"expected an image file at {path}, found none that can be read")
    return image
