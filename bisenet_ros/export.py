"""Checkpoint to model file: `bisenet export CHECKPOINT -o MODEL.onnx`.

The model file holds the network alone: normalised float RGB in, logits at 1/8 out, any height and width; resizing and
argmax are the engines' part. Its card is in the ONNX metadata.
"""

from __future__ import annotations

import argparse
import os
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import onnx
import onnxruntime
import torch

from bisenet_ros.model_card import ModelCard, ModelError, write_card
from bisenet_ros.network import BiSeNetV2

OPSET = 13
"""The newest that TensorRT 8.2 on a Jetson TX2 parses."""

TOLERANCE = {"fp32": 1e-3, "fp16": 5e-2}
"""How far ONNX Runtime's logits may be from torch's, as a share of the largest logit, by how weights are stored."""
CHECKED_SIZES = ((360, 480), (97, 131))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train`")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.onnx", help="the model file to write"
    )
    parser.add_argument(
        "--weights", choices=sorted(TOLERANCE), default="fp32", help="how weights are stored; fp16 halves the file"
    )


def run(arguments: argparse.Namespace) -> int:
    network, card = load_checkpoint(arguments.checkpoint)
    error = export(network, card, arguments.output, weights=arguments.weights)
    print(
        f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB, {card.name}, {len(card.labels)} classes"
    )
    print(f"ONNX Runtime and torch differ by {error:.1e} of the largest logit")
    return 0


def load_checkpoint(path: Path) -> Tuple[BiSeNetV2, ModelCard]:
    """The network for inference, without its boosters, and its card.

    Raises:
        ModelError: the file is missing, is no checkpoint of `bisenet train`, or its weights do not fit.
    """
    try:
        checkpoint: Dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        options, card, state = checkpoint["network"], checkpoint["card"], checkpoint["state_dict"]
        network = BiSeNetV2(**options)
    except FileNotFoundError:
        raise ModelError(f"expected a checkpoint at {path}, found none") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is not a checkpoint of `bisenet train`: {error}") from None
    card = ModelCard.from_dict(card)
    if options["classes"] != len(card.labels):
        raise ModelError(f"{path}: the network has {options['classes']} classes, its card {len(card.labels)}")
    prefix, boosters = "network.", "network.boosters."
    weights = {
        key[len(prefix) :]: tensor
        for key, tensor in state.items()
        if key.startswith(prefix) and not key.startswith(boosters)
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit the network it describes: {error}") from None
    return network.eval(), card


def export(network: BiSeNetV2, card: ModelCard, output: Path, *, weights: str = "fp32") -> float:
    """Writes the model file, once ONNX Runtime has shown that it computes what torch does.

    Returns:
        The largest difference between their logits, as a share of the largest logit.

    Raises:
        ModelError: they disagree; no file is left.
    """
    if not output.parent.is_dir():
        raise ModelError(f"expected a folder at {output.parent} to write {output.name} to, found none")
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        draft = Path(folder) / output.name
        _write_onnx(network, draft)
        model = onnx.load(draft)
        write_card(model, card)
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, draft)
        error = _check(network, draft, tolerance=TOLERANCE["fp32"])
        if weights == "fp16":
            _store_as_fp16(model)
            onnx.save(model, draft)
            error = _check(network, draft, tolerance=TOLERANCE["fp16"])
        os.replace(draft, output)
    return error


def _write_onnx(network: BiSeNetV2, path: Path) -> None:
    axes = {"image": {0: "batch", 2: "height", 3: "width"}, "logits": {0: "batch", 2: "height/8", 3: "width/8"}}
    with warnings.catch_warnings():
        # The newer exporter starts at opset 18, which TensorRT 8.2 does not parse.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, 64, 64),),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=axes,
        )


def _store_as_fp16(model: onnx.ModelProto) -> None:
    """Stores every float tensor in half the bytes, with a Cast behind it; all arithmetic stays fp32."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        stored = f"{tensor.name}.fp16"
        casts.append(onnx.helper.make_node("Cast", [stored], [tensor.name], to=onnx.TensorProto.FLOAT))
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, stored))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _check(network: BiSeNetV2, path: Path, *, tolerance: float) -> float:
    error = max(_disagreement(network, path, size) for size in CHECKED_SIZES)
    if not error <= tolerance:
        raise ModelError(
            f"the exported model disagrees with torch: its logits differ by {error:.1e} of the largest, "
            f"at most {tolerance:.0e} is rounding; no file was written"
        )
    return error


def _disagreement(network: BiSeNetV2, path: Path, size: Tuple[int, int]) -> float:
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    exported = session.run(None, {"image": image.numpy()})[0]
    with torch.no_grad():
        expected = network(image).numpy()
    return float(np.abs(exported - expected).max() / np.abs(expected).max())
