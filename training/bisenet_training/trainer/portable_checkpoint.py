"""What a run needs to go on on another machine, small enough to be sent: `bisenet train --save-weights FILE`."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any, Dict

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from bisenet_ros.files.atomic_write import write_bytes


class PortableCheckpoint(Checkpoint):
    """Writes `portable` of `last.ckpt` whenever a validation, or the run, has ended.

    As a `Checkpoint`, it is called after the callback that writes `last.ckpt`.
    """

    def __init__(self, last: Path, path: Path) -> None:
        self.last = last
        self.path = path

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._write(trainer)

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._write(trainer)

    def _write(self, trainer: lightning.Trainer) -> None:
        if not trainer.is_global_zero or not self.last.exists():
            return
        checkpoint = torch.load(self.last, map_location="cpu", weights_only=True)
        write_bytes(self.path, _compressed(portable(checkpoint)))


def portable(checkpoint: Dict[str, Any]) -> Dict[str, Any]:
    """A checkpoint of a fifth of the size that `--resume-from` takes.

    Weights are in half precision. The optimizer's momentum and the moving average of the weights are left out, so that
    both begin anew.
    """
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.get("current_model_state", checkpoint["state_dict"]).items()
    }
    small = {**checkpoint, "state_dict": weights}
    if "current_model_state" in checkpoint:
        small["current_model_state"] = weights
    small["optimizer_states"] = [{**state, "state": {}} for state in checkpoint["optimizer_states"]]
    return small


def _compressed(checkpoint: Dict[str, Any]) -> bytes:
    """What `torch.save` writes, deflated, which `torch.load` reads as well: a tenth smaller."""
    plain, deflated = io.BytesIO(), io.BytesIO()
    torch.save(checkpoint, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return deflated.getvalue()
