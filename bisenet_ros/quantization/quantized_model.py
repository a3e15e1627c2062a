# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a model file to its int8 version: calibrated, compared with fp32 layer by layer where needed, and described."""

import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Collection, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import onnx

from bisenet_ros.engines.engine import Engine
from bisenet_ros.engines.loader import installed_runtimes
from bisenet_ros.files.atomic_write import write_bytes
from bisenet_ros.model.model_card import ModelCard, read_card, write_card
from bisenet_ros.model.model_file import ModelError, model_sha256, read_model
from bisenet_ros.quantization.frame_source import FrameSource
from bisenet_ros.quantization.quantization_cost import QuantizationCost, quantization_cost, share_of_same_class
from bisenet_ros.quantization.static_quantization import (
    layer_costs,
    name_nodes,
    quantize,
    quantized_layers,
    unquantize,
)

SENSITIVITY_FRAMES = 30
"""Calibration frames at most, spread over all, that layers are judged by."""
MOST_LAYERS_LEFT_OUT = 10
"""Layers that stay in fp32 at most, of the network's 56; more of them would cost the speed."""
COST_OF_ANY_LAYER = 0.01
"""Share of the network's time that leaving out even a small layer costs, in conversions to fp32 and back."""

Progress = Callable[[str], None]
"""Called with what is done now."""


@dataclass(frozen=True)
class QuantizedModel:
    """The int8 version of a model.

    Attributes:
        network: with its card inside.
        layers: how many convolutions are computed in int8, of how many.
        share: of the network's multiplications that these are.
        left_out: names of those that were left in fp32 because they cost too much, the worst first.
        engine: what `cost` was measured with, human-readable.
    """

    network: onnx.ModelProto
    layers: Tuple[int, int]
    share: float
    left_out: List[str]
    cost: QuantizationCost
    engine: str

    def save(self, path: Path) -> None:
        """Writes the model file; raises OSError, and the file is as it was."""
        write_bytes(path, self.network.SerializeToString())


def make_quantized_model(
    model: Path, *, calibration: FrameSource, evaluation: FrameSource, same_class: float, on_progress: Progress
) -> QuantizedModel:
    """Quantizes a model file.

    As many layers are int8 as can be: all but those of the image (see `quantize`), and if then too many pixels change
    their class, all but the layers that this is due to (see `choose_layers_left_out`). What counts are the masks of the
    fastest runtime installed for the CPU, as that computes them.

    Args:
        calibration: frames that the ranges of the tensors are taken from.
        evaluation: frames that int8 is compared with fp32 on.
        same_class: the share of the calibration frames' pixels that must keep their class.

    Raises BisenetError where the model or a frame cannot be used.
    """
    sha256, network, card = model_sha256(model), read_model(model), read_card(model)
    name_nodes(network)
    on_progress(f"calibrating with {len(calibration)} frames of {calibration.name}")
    counted = 0

    def frames_to_calibrate_with() -> Iterator[np.ndarray]:
        nonlocal counted  # a video, or a bag that was cut off, has fewer than it promises
        for frame, _ in calibration:
            counted += 1
            yield frame

    quantized = quantize(network, card, frames_to_calibrate_with())
    fp32 = _open(network, card, precision="fp32")
    every = math.ceil(counted / SENSITIVITY_FRAMES)
    frames = [frame for number, (frame, _) in enumerate(calibration) if number % every == 0]
    costs = layer_costs(network, card.network_size)
    left_out = choose_layers_left_out(
        quantized, fp32, frames, costs=costs, same_class=same_class, on_progress=on_progress
    )
    quantized = unquantize(quantized, left_out)
    int8 = _open(quantized, card, precision="int8")
    on_progress(f"comparing with fp32 on {len(evaluation)} frames of {evaluation.name}")
    cost = quantization_cost(fp32, int8, evaluation)
    if model_sha256(model) != sha256:
        raise ModelError(f"{model} was replaced while it was quantized; give the same command again")
    layers = quantized_layers(quantized)
    convolutions = [node.name for node in quantized.graph.node if node.op_type == "Conv"]
    description = {
        "made_from_sha256": sha256,
        "calibration": {"source": calibration.name, "frames": counted},
        "layers_in_fp32": [name for name in convolutions if name not in layers],
        "compared": {"source": evaluation.name, "engine": int8.description, **cost.to_dict()},
        "loss_points": None if cost.loss_points is None else round(cost.loss_points, 3),
    }
    write_card(quantized, replace(card, quantization=description))
    share = sum(costs[name] for name in layers)
    return QuantizedModel(quantized, (len(layers), len(convolutions)), share, left_out, cost, int8.description)


def choose_layers_left_out(
    quantized: onnx.ModelProto,
    fp32: Engine,
    frames: Sequence[np.ndarray],
    *,
    costs: Mapping[str, float],
    same_class: float,
    on_progress: Progress,
) -> List[str]:
    """The layers of a quantized network that should stay in fp32, the worst first; none where it is good enough.

    Each layer is left out alone, and what share of the frames' pixels then has fp32's class is measured. Those that
    gain most for what they cost are left out together, one more at a time, until the share is reached.

    Args:
        fp32: the same network before quantization.
        costs: of each layer, as `layer_costs` has them.
        same_class: the share to reach; it is missed if 10 layers are not enough.
    """
    masks = [fp32.segment(frame) for frame in frames]

    def share_without(layers: Collection[str]) -> float:
        engine = _open(unquantize(quantized, layers), fp32.card, precision="int8")
        shares = [share_of_same_class(mask, engine.segment(frame)) for mask, frame in zip(masks, frames)]
        return float(np.average(shares, weights=[mask.size for mask in masks]))

    share = share_without([])
    if share >= same_class:
        return []
    layers = quantized_layers(quantized)
    on_progress(f"{share:.2%} of the pixels keep their class; measuring each of {len(layers)} layers")
    gains = {}
    for number, layer in enumerate(layers, 1):
        without = share_without([layer])
        gains[layer] = (without - share) / (costs[layer] + COST_OF_ANY_LAYER)
        on_progress(f"{number}/{len(layers)}: {without:.2%} without {layer}")
    worst_first = sorted(layers, key=lambda layer: -gains[layer])
    for count in range(1, min(MOST_LAYERS_LEFT_OUT, len(worst_first)) + 1):
        share = share_without(worst_first[:count])
        on_progress(f"{share:.2%} without the worst {count}")
        if share >= same_class:
            return worst_first[:count]
    on_progress(f"no more layers are left out, although less than {same_class:.2%} of the pixels keep their class")
    return worst_first[:MOST_LAYERS_LEFT_OUT]


def _open(network: onnx.ModelProto, card: ModelCard, *, precision: str) -> Engine:
    """A network in the fastest runtime that is installed for the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(network, path)
        return installed_runtimes("cpu")[0].create(path, card, precision=precision)
