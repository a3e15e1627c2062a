# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of `bisenet train`: the network's weights, how it is built, and its card. Reading one runs no code."""

from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import torch

from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network.bisenetv2 import BiSeNetV2

PREFIX = "network."
"""Of the names of the network's weights among those of the training's module."""


def read_torch_file(path: Path, *, expected: str) -> Any:
    """What a file of `torch.save` holds; raises ModelError unless it is tensors and plain values."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"expected a {expected} at {path}, found none") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}; expected a {expected}") from None
    except Exception:  # torch raises whatever it stumbles over, and its advice is to run the file
        raise ModelError(f"{path} is damaged, or no {expected}") from None


def read_checkpoint(path: Path) -> Dict[str, Any]:
    """What `bisenet train` saved: `state_dict`, `network` (the arguments of BiSeNetV2), `card`, and how to go on.

    Raises:
        ModelError: the file is missing, damaged, or something else.
    """
    if path.suffix == ".onnx":
        raise ModelError(f"expected a checkpoint of `bisenet train` (.ckpt), and {path} is a model file already")
    checkpoint = read_torch_file(path, expected="checkpoint of `bisenet train`")
    parts = ("state_dict", "network", "card")
    if not isinstance(checkpoint, dict) or not all(isinstance(checkpoint.get(part), dict) for part in parts):
        raise ModelError(
            f"{path} is no checkpoint of `bisenet train`, which holds {', '.join(parts)}; of a CoinCheung/BiSeNet one "
            f"`bisenet import-checkpoint {path.name} -o {path.stem}.ckpt` makes one to start from"
        )
    require_finite(checkpoint["state_dict"], path=path)
    return checkpoint


def require_finite(state: Mapping[str, Any], *, path: Path) -> None:
    """Raises ModelError where a weight is not a finite number, as after a training that has diverged."""
    try:
        bad = [name for name, tensor in state.items() if torch.is_tensor(tensor) and not tensor.isfinite().all()]
    except RuntimeError:  # torch's message is pages
        raise ModelError(f"expected dense tensors in {path}, got sparse, quantized or meta ones; save others") from None
    if bad:
        more = f" and {len(bad) - 1} more tensors" if bad[1:] else ""
        raise ModelError(
            f"{path}: {bad[0]}{more} hold weights that are not finite (NaN or infinity): the training had diverged; "
            "use an earlier checkpoint, or train again with a lower learning rate"
        )


def load_checkpoint(path: Path) -> Tuple[BiSeNetV2, ModelCard]:
    """The network for inference, without its boosters, and its card.

    Raises:
        ModelError: the file is missing, is no checkpoint of `bisenet train`, or its weights do not fit.
    """
    checkpoint = read_checkpoint(path)
    options, card, state = checkpoint["network"], checkpoint["card"], checkpoint["state_dict"]
    try:
        network = BiSeNetV2(**{**options, "boosters": ()})
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path} describes a network that cannot be made: {error}") from None
    card = ModelCard.from_dict(card)
    if options["classes"] != len(card.classes):
        raise ModelError(f"{path}: the network has {options['classes']} classes, its card {len(card.classes)}")
    weights = {key[len(PREFIX) :]: tensor for key, tensor in state.items() if key.startswith(PREFIX)}
    try:
        network.load_state_dict({key: weights[key] for key in weights if not key.startswith("boosters.")})
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit the network it describes: {error}") from None
    return network.eval(), card
