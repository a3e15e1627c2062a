# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The weights that a run starts with: those of another run, as far as they fit."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping, NamedTuple

from torch import Tensor

from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network.bisenetv2 import DEFAULTS
from bisenet_ros.network.checkpoint import read_checkpoint
from bisenet_training.errors import RecipeError
from bisenet_training.trainer.devices import print_once
from bisenet_training.trainer.module import SegmentationModule
from bisenet_training.trainer.recipe import NetworkRecipe

HEAD_PART = re.compile(r"network\.(head|boosters\.\w+)\.(convolution|classifier)")
"""The tensors of the main head and of the booster heads, by their names in a state_dict."""
OF_HEADS = ("head_width", "boosters")
"""The arguments of BiSeNetV2 that may be others in a checkpoint that a run starts from."""


class Start(NamedTuple):
    """The checkpoint that a run starts from, and where it was read."""

    path: Path
    checkpoint: dict[str, Any]


def read_start(path: Path, network: NetworkRecipe) -> Start:
    """Reads the checkpoint that a run by a recipe is to start from.

    Raises:
        RecipeError: there is no such file.
        ModelError: it is no checkpoint of `bisenet train` or `bisenet import-checkpoint`, or of another network; the
            message has the entries that the recipe needs.
    """
    if not path.is_file():
        raise RecipeError(
            f"run.start_from must be a checkpoint, there is none at {path}, a path from the current folder; give "
            "another with run.start_from=CHECKPOINT, or begin again with run.start_from=null"
        )
    checkpoint = read_checkpoint(path)
    theirs = {**DEFAULTS, **checkpoint["network"]}
    needed = {
        f"network.{key}={theirs[key]}"
        for key, value in asdict(network).items()
        if key not in OF_HEADS and theirs[key] != value
    }
    if needed:
        raise ModelError(f"{path} must have the recipe's network to start from it; set {' '.join(sorted(needed))}")
    return Start(path, checkpoint)


def start_from(module: SegmentationModule, start: Start) -> None:
    """Gives a module the weights of another run's checkpoint, whose training becomes part of the card's.

    Heads of another width or missing there stay as initialized, and so does every classifier where the names of the
    classes or their order differ; the `convolution` before it is kept where its shape fits. What stays is printed, and
    so is a normalization that is not the recipe's.

    Raises:
        ModelError: the checkpoint has a bad card, or not the weights of its network.
    """
    path, checkpoint = start
    card = ModelCard.from_dict(checkpoint["card"])
    own = module.state_dict()
    theirs = {key: tensor for key, tensor in checkpoint["state_dict"].items() if key in own}
    others = _other_heads(own, theirs, same_classes=card.classes.names == module.card.classes.names)
    try:
        module.load_state_dict({key: own[key] if key.startswith(others) else theirs[key] for key in own})
    except (RuntimeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path} does not have the weights of the network that it names: {error}") from None
    if others:
        print_once(
            f"heads that {path} has in another shape, for other classes, or not at all, stay as initialized: "
            f"{', '.join(others)}"
        )
    if (card.mean, card.std) != (module.card.mean, module.card.std):
        print_once(
            f"{path} was trained with data.mean={list(card.mean)} data.std={list(card.std)}, "
            f"this run has data.mean={list(module.card.mean)} data.std={list(module.card.std)}"
        )
    module.started_from = {**card.training, "scores": dict(card.scores)}


def _other_heads(own: Mapping[str, Tensor], theirs: Mapping[str, Tensor], *, same_classes: bool) -> tuple[str, ...]:
    """The parts of the heads, `convolution` and `classifier`, that cannot be taken over.

    These are parts of another shape, parts that are missing, and every classifier unless the classes are the same.
    """
    differing = [
        key
        for key in own
        if key not in theirs or own[key].shape != theirs[key].shape or (".classifier." in key and not same_classes)
    ]
    return tuple(sorted({part[0] for part in map(HEAD_PART.match, differing) if part}))
