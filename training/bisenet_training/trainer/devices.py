# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The devices that a run trains on, the processes that share it, and the precision that they compute in."""

import os
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only

from bisenet_ros.engines.precision import computes_in_bf16
from bisenet_training.errors import RecipeError


def trainer_devices() -> dict[str, Any]:
    """The trainer's arguments for the processes that torchrun has started, or for this machine's GPUs, or its CPU."""
    world = int(os.environ.get("WORLD_SIZE", 0))
    of_this_machine = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    gpus = torch.cuda.device_count()
    processes = of_this_machine or max(1, gpus)
    parallel = max(world, processes) > 1
    return {
        "accelerator": "gpu" if gpus else "cpu",
        "devices": processes,
        "num_nodes": world // of_this_machine if world else 1,
        "strategy": "ddp" if parallel else "auto",
        "sync_batchnorm": parallel and gpus > 0,  # torch has it for GPUs only
    }


def require_shares(batch_size: int, *, processes: int) -> None:
    """Raises RecipeError for a batch that the processes of a run cannot share."""
    shard, rest = divmod(batch_size, processes)
    if rest or shard < 2:
        raise RecipeError(
            f"run.batch_size is what all processes share, each at least 2 images for batch normalization; {batch_size} "
            f"cannot be divided among {processes}"
        )


def choose_precision(precision: str) -> str:
    """The precision for Lightning.

    "auto" is bf16-mixed where the device has bf16 instructions, else 16-mixed on a GPU and 32-true on a CPU.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if computes_in_bf16() else "32-true"


@rank_zero_only
def print_once(words: str) -> None:
    """Prints in the first process of those that share a run; nothing where there are no words."""
    if words:
        print(words)
