# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Model files: ONNX, with the weights inside or in files beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator

import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.file_content import describe_bytes

if TYPE_CHECKING:
    import onnx


ONNX_START = b"\x08"
"""Of a model whose first field is its version of the format, as ONNX's own library and PyTorch write it."""


class ModelError(BisenetError):
    """A model file that cannot be used; the message says what was expected, what came and what to do."""


def read_model(path: Path, *, weights: bool = True) -> onnx.ModelProto:
    """The network of a model file.

    Args:
        weights: also read the weights that are in other files; `False` is faster where only metadata are wanted.

    Raises:
        ModelError: the file is missing, is not ONNX, or a file with its weights is missing, cut off, a link, or
            elsewhere; or a weight that was read is not finite.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)  # whatever the file is called
    except (FileNotFoundError, IsADirectoryError) as error:
        found = "a folder" if isinstance(error, IsADirectoryError) else "none"
        raise ModelError(
            f"expected a model file at {path.absolute()}, found {found}; give the path of an .onnx file"
        ) from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    except DecodeError:
        model = onnx.ModelProto()
    if not model.graph.node:
        raise ModelError(_explain_missing_network(path))
    try:
        _check_weights(path, model)
        if weights:
            onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
            _require_finite(path, model)
    except ModelError:
        raise
    except (onnx.checker.ValidationError, ValueError) as error:
        problem = str(error).rstrip(".")
        raise ModelError(
            f"the weights of {path} cannot be read: {problem}; copy the files themselves, no links to them"
        ) from None
    return model


def _check_weights(path: Path, model: onnx.ModelProto) -> None:
    """Raises ModelError where a file with weights is missing, cut off, or elsewhere; ValueError."""
    for name, size in _external_data(model).items():
        file = path.parent / name
        if name.startswith("/") or ".." in Path(name).parts:
            raise ModelError(f"{path} has its weights in {name}, which is not beside it; save both in one folder")
        if not file.is_file():
            raise ModelError(f"{path} has its weights in {file}, which is missing; copy that file too")
        if file.stat().st_size < size:
            raise ModelError(f"expected {size} bytes of weights in {file}, got {file.stat().st_size}; copy it again")


def _require_finite(path: Path, model: onnx.ModelProto) -> None:
    """Raises ModelError for a weight that is NaN or infinite: OpenVINO would compute on with another number."""
    from onnx import TensorProto, numpy_helper

    for tensor in model.graph.initializer:
        kinds = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
        # A single number may be a bound, as of a Clip.
        if tensor.data_type in kinds and tensor.dims and not np.isfinite(numpy_helper.to_array(tensor)).all():
            raise ModelError(
                f"{path} has weights that are not finite ({tensor.name}): its training diverged, or the file is "
                "damaged; copy it again, or export it from another checkpoint"
            )


def _explain_missing_network(path: Path) -> str:
    data = path.read_bytes()
    if data.startswith(ONNX_START):
        return (
            f"{path} begins as an ONNX model, but is cut off, damaged or empty ({len(data):,} bytes); copy it again, "
            "or make it with `bisenet export`"
        )
    return f"{path} is not an ONNX model, but {describe_bytes(data)}; make one with `bisenet export`"


def model_sha256(path: Path) -> str:
    """The SHA-256 of a model file and of the files with its weights, as 64 hexadecimal digits; raises ModelError."""
    digest = hashlib.sha256(path.read_bytes() if path.is_file() else b"")
    for name in sorted(_external_data(read_model(path, weights=False))):
        digest.update((path.parent / name).read_bytes())
    return digest.hexdigest()


def is_quantized(path: Path) -> bool:
    """Whether a model file computes in int8, as `bisenet quantize` makes it; raises ModelError."""
    return any(node.op_type == "QuantizeLinear" for node in read_model(path, weights=False).graph.node)


def _external_data(model: onnx.ModelProto) -> Dict[str, int]:
    """The files beside the model's that hold weights (ONNX calls them external data), and the bytes each must have."""
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    sizes: Dict[str, int] = {}
    for info in map(ExternalDataInfo, filter(uses_external_data, _tensors(model))):
        end = (info.offset or 0) + (info.length or 0)
        sizes[info.location] = max(sizes.get(info.location, 0), end)
    return sizes


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in model.graph.node:
        yield from (attribute.t for attribute in node.attribute if attribute.HasField("t"))
