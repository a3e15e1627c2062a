# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Network to model file (ONNX).

The model file holds the network alone: normalized float RGB in, logits at 1/8 out, any height and width; resizing and
argmax are the engines' part. Its card is in the ONNX metadata.
"""

import io
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Callable

import numpy as np
import onnx
import onnxruntime
import torch

from bisenet_ros.files.atomic_write import write_bytes
from bisenet_ros.model.fp16_weights import pack_weights, unpack_weights
from bisenet_ros.model.model_card import ModelCard, write_card
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2

OPSET = 13
"""The newest that TensorRT 8.2 on a Jetson TX2 parses."""

ARITHMETIC = 1e-4
"""How far logits of the same weights may be apart in two runtimes, as a share of the largest logit."""
FP16_WEIGHTS = 5e-2
"""The same for weights rounded to fp16 against unrounded ones: a random network reaches 3 %, a trained one 0.1 %."""
CHECKED_SIZES = ((360, 480), (97, 131))
Logits = Callable[[np.ndarray], np.ndarray]


def export(network: BiSeNetV2, card: ModelCard, output: Path, *, weights: str = "fp32") -> float:
    """Writes the model file, once ONNX Runtime has shown that it computes what torch does.

    Returns:
        The largest difference between their logits, as a share of the largest logit.

    Raises:
        ModelError: they disagree; no file is left.
    """
    if output.suffix != ".onnx":
        raise ModelError(f"expected a name that ends in .onnx for the model file, got {output}")
    if not output.parent.is_dir():
        raise ModelError(f"expected a folder at {output.parent} to write {output.name} to, found none")
    model = _onnx_model(network)
    write_card(model, card)
    onnx.checker.check_model(model, full_check=True)
    error = _compare(_onnx_logits(model), _torch_logits(network), tolerance=ARITHMETIC)
    if weights == "fp16":
        pack_weights(model.graph)
        rounded = deepcopy(model)
        unpack_weights(rounded.graph)  # what the stored file must compute, exactly
        _compare(_onnx_logits(model), _onnx_logits(rounded), tolerance=ARITHMETIC)
        error = _compare(_onnx_logits(model), _torch_logits(network), tolerance=FP16_WEIGHTS)
    write_bytes(output, model.SerializeToString())
    return error


def _onnx_model(network: BiSeNetV2) -> onnx.ModelProto:
    file = io.BytesIO()
    axes = {"image": {0: "batch", 2: "height", 3: "width"}, "logits": {0: "batch", 2: "height/8", 3: "width/8"}}
    with warnings.catch_warnings():
        # The newer exporter starts at opset 18, which TensorRT 8.2 does not parse.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network.eval(),
            (torch.zeros(1, 3, 64, 64),),
            file,  # type: ignore[arg-type]  # a path when `dynamo` is True
            dynamo=False,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=axes,
        )
    return onnx.load_from_string(file.getvalue())


def _onnx_logits(model: onnx.ModelProto) -> Logits:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda image: session.run(None, {"image": image})[0]


def _torch_logits(network: BiSeNetV2) -> Logits:
    def logits(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(image)).numpy()

    return logits


def _compare(exported: Logits, expected: Logits, *, tolerance: float) -> float:
    """The largest difference on seeded noise of two sizes, as a share of the largest logit."""
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((1, 3, *size), dtype=np.float32) for size in CHECKED_SIZES]
    logits = [(exported(image), expected(image)) for image in images]
    error = max(float(np.abs(ours - theirs).max() / np.abs(theirs).max()) for ours, theirs in logits)
    if not error <= tolerance:
        raise ModelError(
            f"the exported model disagrees with torch: its logits differ by {error:.1e} of the largest, "
            f"at most {tolerance:.0e} is rounding; no file was written"
        )
    return error
