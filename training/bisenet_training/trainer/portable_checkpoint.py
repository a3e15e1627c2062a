# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A small copy of a run's checkpoint, to go on with the run on another machine (`--save-weights`, `--resume-from`)."""

import io
import zipfile
from typing import Any, Mapping

import torch
from torch import Tensor


def portable(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint for `--resume-from` of a fifth of the size.

    The weights of convolutions are in half precision. The optimizer's momentum and the moving average of the weights
    are left out: both begin again, the average with the weights of the last iteration. So are the scores where they are
    the average's.
    """
    latest = checkpoint.get("current_model_state", checkpoint["state_dict"])
    weights = {name: _halved(tensor) for name, tensor in latest.items()}
    optimizers = [{**state, "state": {}} for state in checkpoint["optimizer_states"]]
    changed = {"state_dict": weights, "optimizer_states": optimizers}
    if "current_model_state" in checkpoint:
        changed.update(current_model_state=weights, card={**checkpoint["card"], "scores": {}})
    return {**checkpoint, **changed}


def is_portable(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a run's checkpoint is a portable one; only that has weights in half precision."""
    return any(tensor.dtype == torch.float16 for tensor in checkpoint["state_dict"].values())


def deflated(checkpoint: dict[str, Any]) -> bytes:
    """The checkpoint as `torch.save` writes it, compressed; `torch.load` reads it. A tenth smaller."""
    plain, compressed = io.BytesIO(), io.BytesIO()
    torch.save(checkpoint, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return compressed.getvalue()


def _halved(tensor: Tensor) -> Tensor:
    """A convolution's weights in fp16; others as they are: variances of batch norm can be above fp16's 65,504."""
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
