# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Writes checkpoints whole or not at all, and a portable copy of the last one."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from bisenet_ros.files.atomic_write import write_bytes
from bisenet_training.trainer.portable_checkpoint import deflated, portable


class WholeFileCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written in their own folder under another name, then renamed.

    Lightning alone writes to the temporary folder, and copies from there over the checkpoint of before: a run that is
    killed meanwhile, or whose disk is full, has neither.

    Args:
        save_weights: where to write a portable copy of each `last.ckpt`; None: nowhere.
    """

    def __init__(self, save_weights: Path | None = None) -> None:
        super().__init__()
        self.save_weights = save_weights

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes the checkpoint under another name, then renames it; raises OSError, and the file is as it was.

        Args:
            storage_options: Lightning's, of which there is none for a file on a disk.
        """
        data = io.BytesIO()
        torch.save(checkpoint, data)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(Path(path), data.getvalue(), durable=True)
        if self.save_weights and Path(path).name == "last.ckpt":
            write_bytes(self.save_weights, deflated(portable(checkpoint)), durable=True)
