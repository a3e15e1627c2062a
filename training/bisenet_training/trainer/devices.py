# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The devices that a run trains on, the processes that share it, and how they compute: precision, memory format."""

import os
from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from bisenet_ros.engines.precision import computes_in_bf16
from bisenet_training.errors import RecipeError

LONGEST_WAIT = timedelta(hours=3)
"""For which processes wait for each other: at the start the first one reads all frames before the others do."""


def trainer_devices() -> dict[str, Any]:
    """The trainer's arguments for the processes that torchrun has started, or for this machine's GPUs, or its CPU.

    Raises:
        RecipeError: Slurm has started several processes that torchrun has not joined, or torchrun more than there are
            GPUs.
    """
    gpus = torch.cuda.device_count()
    if TorchElasticEnvironment.detect():
        processes, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        if gpus and processes > gpus:
            raise RecipeError(
                f"expected at most one process for each of this machine's {gpus} GPUs, got {processes}; start torchrun "
                f"with --nproc-per-node={gpus}"
            )
    else:
        _require_one_task()
        processes = world = max(1, gpus)
    return {
        "accelerator": "gpu" if gpus else "cpu",
        "devices": processes,
        "num_nodes": world // processes,
        "strategy": DDPStrategy(timeout=LONGEST_WAIT) if world > 1 else "auto",
        "sync_batchnorm": world > 1 and gpus > 0,  # torch has it for GPUs only
    }


def cluster_environment() -> list[ClusterEnvironment]:
    """The trainer's plugins by which it starts a process for each further device; none where torchrun has.

    Without it Lightning takes a batch system's environment, such as Slurm's, for one that starts all processes.
    """
    return [] if TorchElasticEnvironment.detect() else [LightningEnvironment()]


def _require_one_task() -> None:
    """Raises RecipeError where Slurm starts the command more than once, each of which would be a run of its own."""
    tasks = int(os.environ.get("SLURM_NTASKS", 1))
    if tasks > 1:
        raise RecipeError(
            f"expected to be a Slurm job's only task, or to be started through torchrun, got SLURM_NTASKS={tasks}: ask "
            "Slurm for one task on each machine, and start torchrun in it, which starts a process for each GPU"
        )


def require_shares(batch_size: int, *, processes: int) -> None:
    """Raises RecipeError for a batch that the processes of a run cannot share."""
    shard, rest = divmod(batch_size, processes)
    if rest or shard < 2:
        nearest = max(2, round(batch_size / processes)) * processes
        raise RecipeError(
            f"run.batch_size is what all processes share, each at least 2 images for batch normalization; {batch_size} "
            f"cannot be divided among {processes}; choose run.batch_size={nearest}, and optimizer.learning_rate in "
            "proportion"
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


def memory_format() -> torch.memory_format:
    """The order in which images and convolutions lie in memory: channels last, but on x86 CPUs without AVX-512.

    With channels last an iteration is a tenth shorter (Zen 4). Without AVX-512 it takes 1.2 to 1.3 times as long, as
    oneDNN is slow there in computing the gradients of weights (torch 2.13, Zen 3).
    """
    if not torch.cuda.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2":
        return torch.contiguous_format
    return torch.channels_last


@rank_zero_only
def print_once(words: str) -> None:
    """Prints in the first process of those that share a run; nothing where there are no words."""
    if words:
        print(words)
