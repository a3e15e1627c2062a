# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the PyTorch implementation github.com/CoinCheung/BiSeNet, as networks of ours.

The files are flat state_dicts. Their network is `BiSeNetV2(variant="coincheung")`.
"""

import io
import re
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Sequence

import torch
from torch import Tensor

from bisenet_ros.files.atomic_write import write_bytes
from bisenet_ros.files.file_content import sha256_of
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.checkpoint import read_torch_file, require_finite
from bisenet_training.data.find_dataset import find_dataset

CITYSCAPES_MEAN = (0.3257, 0.3690, 0.3223)
CITYSCAPES_STD = (0.2112, 0.2148, 0.2115)

# What a block's layers are called here and there.
CONV_BN = {"0": "0", "1": "1"}
CONV_BN_RELU = {"0": "conv", "1": "bn"}
SEPARABLE = {"0.0": "0", "0.1": "1", "1": "2"}
SHORTCUT = {"0.0": "0", "0.1": "1", "1.0": "2", "1.1": "3"}

STAGE, THEIR_STAGE = r"semantics\.s(3|4|5_4)", r"segment.S\1"
BLOCKS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (r"detail\.s(\d)\.(\d)", r"detail.S\1.\2", CONV_BN_RELU),
    (r"semantics\.stem\.first", "segment.S1S2.conv", CONV_BN_RELU),
    (r"semantics\.stem\.convolution\.(\d)", r"segment.S1S2.left.\1", CONV_BN_RELU),
    (r"semantics\.stem\.fuse", "segment.S1S2.fuse", CONV_BN_RELU),
    (STAGE + r"\.(\d)\.gather", THEIR_STAGE + r".\2.conv1", CONV_BN_RELU),
    (STAGE + r"\.0\.depthwise\.0", THEIR_STAGE + ".0.dwconv1", CONV_BN),
    (STAGE + r"\.0\.depthwise\.1", THEIR_STAGE + ".0.dwconv2", CONV_BN),
    (STAGE + r"\.([1-9])\.depthwise\.0", THEIR_STAGE + r".\2.dwconv", CONV_BN),
    (STAGE + r"\.(\d)\.project", THEIR_STAGE + r".\2.conv2", CONV_BN),
    (STAGE + r"\.0\.shortcut", THEIR_STAGE + ".0.shortcut", SHORTCUT),
    (r"semantics\.context_embedding", "segment.S5_5", {"embed.0": "bn"}),
    (r"semantics\.context_embedding\.embed\.1", "segment.S5_5.conv_gap", CONV_BN_RELU),
    (r"semantics\.context_embedding\.fuse", "segment.S5_5.conv_last", CONV_BN_RELU),
    (r"aggregation\.detail_keep", "bga.left1", SEPARABLE),
    (r"aggregation\.detail_down\.0", "bga.left2", CONV_BN),
    (r"aggregation\.semantics_up", "bga.right1", CONV_BN),
    (r"aggregation\.semantics_keep", "bga.right2", SEPARABLE),
    (r"aggregation\.output", "bga.conv", CONV_BN),
    (r"head\.convolution", "head.conv", CONV_BN_RELU),
    (r"head", "head", {"classifier": "conv_out.1"}),
)
"""Every block: the pattern of its name here, its name there, its layers."""
HEAD, CLASSIFIER = "head.conv.conv.weight", "head.conv_out.1.weight"
COUNTER = ".num_batches_tracked"


class Imported(NamedTuple):
    """The network, and how many of the file's tensors are in it or were left out."""

    network: BiSeNetV2
    tensors: int
    boosters: int
    counters: int


def import_checkpoint(
    path: Path, *, dataset: str, mean: Sequence[float], std: Sequence[float], network_size: tuple[int, int]
) -> tuple[Imported, ModelCard]:
    """The network in a file of CoinCheung/BiSeNet, and a card for it.

    Args:
        path: a flat state_dict, such as model_final_v2_city.pth.
        dataset: name or YAML of the data set whose classes the network has.
        mean, std: of RGB in 0 to 1.
        network_size: (height, width) that frames are resized to.

    Raises:
        ModelError: the file is missing, holds something else, or has another number of classes.
        DataError: there is no such data set.
    """
    state = read_state_dict(path)
    try:
        imported = import_network(state)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    classes = find_dataset(dataset).classes
    outputs = imported.network.head.classifier.out_channels
    if outputs != len(classes):
        raise ModelError(f"{path} has {outputs} classes, the data set {dataset} {len(classes)}")
    card = {"name": "BiSeNetV2", "classes": classes.to_list(), "mean": mean, "std": std, "network_size": network_size}
    training = {"imported_from": path.name, "sha256": sha256_of(path)}
    return imported, ModelCard.from_dict({**card, "training": training})


def save_checkpoint(imported: Imported, card: ModelCard, output: Path) -> None:
    """Writes a checkpoint that a recipe with `network.variant: coincheung` can start from.

    Raises:
        ModelError: there is no folder to write to.
    """
    if not output.parent.is_dir():
        raise ModelError(f"expected a folder at {output.parent} to write {output.name} to, found none")
    head = imported.network.head
    options = {"classes": len(card.classes), "head_width": head.classifier.in_channels, "variant": "coincheung"}
    state = {f"network.{name}": tensor for name, tensor in imported.network.state_dict().items()}
    file = io.BytesIO()
    torch.save({"state_dict": state, "network": options, "card": card.to_dict()}, file)
    write_bytes(output, file.getvalue())


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The file's tensors, also from under one entry of a dict, and without DistributedDataParallel's "module.".

    Raises:
        ModelError: the file is missing, holds no tensors by name, or such that are not finite.
    """
    content = read_torch_file(path, expected="file of tensors, as `torch.save(model.state_dict(), ...)` writes it")
    if isinstance(content, dict) and {"state_dict", "network", "card"} <= content.keys():
        raise ModelError(f"{path} is a checkpoint of `bisenet train`; `bisenet export` makes a model file of it")
    candidates = [content, *(content.values() if isinstance(content, dict) else ())]
    states = [candidate for candidate in candidates if _is_state_dict(candidate)]
    if len(states) != 1:
        raise ModelError(
            f"{path} must hold one state_dict, tensors by name, alone or as an entry of a dict; it holds "
            f"{_describe_content(content)}"
        )
    (state,) = states
    require_finite(state, path=path)
    return {re.sub(r"^module\.", "", str(key)): tensor for key, tensor in state.items()}


def import_network(state: Mapping[str, Tensor]) -> Imported:
    """The network of CoinCheung/BiSeNet's state_dict; every key is accounted for.

    Raises:
        ModelError: keys are unknown or missing, or a tensor has another shape; the message names them.
    """
    boosters = [key for key in state if key.startswith("aux")]
    counters = [key for key in state if key.endswith(COUNTER) and key not in boosters]
    theirs = {key: state[key] for key in state if key not in {*boosters, *counters}}
    classes, head_width = _outputs(theirs, CLASSIFIER, default=19), _outputs(theirs, HEAD, default=1024)
    network = BiSeNetV2(classes=classes, head_width=head_width, variant="coincheung")
    ours = {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(COUNTER)}
    names = {coincheung_name(name): name for name in ours}
    missing, unknown = [key for key in names if key not in theirs], [key for key in theirs if key not in names]
    if missing or unknown:
        raise ModelError(
            f"expected the keys of a CoinCheung/BiSeNet checkpoint; missing: {_listed(missing)}; "
            f"unknown: {_listed(unknown)}"
        )
    for key, name in names.items():
        if theirs[key].shape != ours[name].shape:
            raise ModelError(f"{key} must have the shape {tuple(ours[name].shape)}, got {tuple(theirs[key].shape)}")
    # Strict but for the counters, as was just seen.
    network.load_state_dict({names[key]: tensor for key, tensor in theirs.items()}, strict=False)
    return Imported(network.eval(), len(theirs), len(boosters), len(counters))


def coincheung_name(name: str) -> str:
    """What CoinCheung/BiSeNet calls a tensor of ours."""
    module, tensor = name.rsplit(".", 1)
    for block, their_block, layers in BLOCKS:
        for layer, their_layer in layers.items():
            match = re.fullmatch(rf"{block}\.{re.escape(layer)}", module)
            if match:
                return match.expand(f"{their_block}.{their_layer}.{tensor}")
    raise KeyError(name)


def _is_state_dict(content: Any) -> bool:
    return isinstance(content, dict) and bool(content) and all(isinstance(value, Tensor) for value in content.values())


def _describe_content(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    sizes = {key: f" of {len(value)} entries" if isinstance(value, dict) else "" for key, value in content.items()}
    return f"a dict: {_listed([f'{key} ({type(content[key]).__name__}{sizes[key]})' for key in content])}"


def _outputs(state: Mapping[str, Tensor], key: str, *, default: int) -> int:
    """The output channels of a convolution; `default` where it is missing, which the comparison of all keys tells."""
    if key not in state:
        return default
    if state[key].ndim != 4:
        raise ModelError(f"{key} must be a convolution's weights, of 4 dimensions, got {tuple(state[key].shape)}")
    return len(state[key])


def _listed(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:5]) + (", ..." if len(keys) > 5 else "")
    return f"{shown} ({len(keys)})" if keys else "none"
