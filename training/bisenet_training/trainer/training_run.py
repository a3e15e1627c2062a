# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A training run: checks, data, module, callbacks, and PyTorch Lightning's trainer."""

import logging
import os
import sys
import warnings
from dataclasses import fields
from pathlib import Path
from typing import Any, Mapping, Sequence

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.precision import computes_in_bf16
from bisenet_ros.files.file_names import check_path
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.result_folder import require_writable
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.network.checkpoint import read_checkpoint
from bisenet_training.errors import RecipeError
from bisenet_training.trainer.allocator import keep_freed_memory
from bisenet_training.trainer.callbacks import BestCheckpoint, GracefulStop, PortableCheckpoint, ProgressReport
from bisenet_training.trainer.checkpoint_io import WholeFileCheckpointIO
from bisenet_training.trainer.data_module import DataModule
from bisenet_training.trainer.losses import balanced_weights
from bisenet_training.trainer.module import SegmentationModule
from bisenet_training.trainer.out_of_memory import explain_out_of_memory
from bisenet_training.trainer.recipe import Recipe, without_places
from bisenet_training.trainer.run_data import class_shares, open_data
from bisenet_training.trainer.starting_weights import start_from

IRRELEVANT_WARNINGS = (
    ".*your dataloader is not resumable.*",  # it need not be: its batches begin at the trainer's iteration
    ".*does not have many workers.*",  # the recipe's choice
    ".*smaller than the logging interval.*",
    ".*exists and is not empty.*",  # the logs are there already
    ".*The dirpath has changed.*",  # with --resume-from: the best score counts from there
    ".*LeafSpec.*",  # between Lightning and torch
)


def train(
    recipe: Recipe,
    output: Path,
    *,
    resume: bool = False,
    resume_from: Path | None = None,
    save_weights: Path | None = None,
) -> None:
    """Trains by the recipe and writes `last.ckpt`, and where weights are scored `best.ckpt`, that of the best mIoU.

    Uses every GPU of the machine, or the CPU; under torchrun, every process of every machine.

    Args:
        output: folder of the checkpoints and logs.
        resume: go on from `output/last.ckpt`.
        resume_from: go on from this checkpoint, which may be a portable one.
        save_weights: where to write the portable checkpoint.

    Raises:
        RecipeError: the recipe cannot be followed with this data set, there is nothing to resume or it was made by
            another recipe, or a run would be overwritten.
        DataError: the data set is not as it should be.
        TrainingDiverged: the loss is no finite number any more.
        OutOfMemory: the memory of the GPU or of the machine is not enough.
    """
    check_path(output)  # TensorBoard writes to paths in UTF-8 alone
    last = output / "last.ckpt"
    if resume and not last.is_file():
        raise RecipeError(f"expected a checkpoint to resume at {last}, found none; start without --resume")
    if last.exists() and not resume:
        raise RecipeError(f"{output} holds a run already; pass --resume to go on with it, or another --output")
    if save_weights:
        _check_place(save_weights, others=[last, output / "best.ckpt", Path(recipe.run.start_from or last)])
    checkpoint = last if resume else resume_from
    if checkpoint:
        _check_resumable(checkpoint, recipe)
    elif recipe.run.start_from and not Path(recipe.run.start_from).is_file():
        raise RecipeError(
            f"run.start_from must be a checkpoint, there is none at {recipe.run.start_from}, a path from the current "
            "folder; give another with run.start_from=CHECKPOINT, or begin anew with run.start_from=null"
        )
    with warnings.catch_warnings():
        for message in IRRELEVANT_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        advice = "give the same command again, with --resume where a last.ckpt is there"
        with explain_full_disk(output, advice=advice), explain_out_of_memory(recipe):
            _fit(recipe, output, checkpoint=checkpoint, save_weights=save_weights)


def _fit(recipe: Recipe, output: Path, *, checkpoint: Path | None, save_weights: Path | None) -> None:
    if not torch.cuda.is_available():
        keep_freed_memory()
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # `ProgressReport` has what a user needs
    lightning.seed_everything(recipe.run.seed, workers=True, verbose=False)
    data = open_data(recipe, processes=_processes()["devices"])
    classes = data.training[0].classes
    module = SegmentationModule(
        recipe,
        _card(recipe, classes),
        _class_weights(recipe, data.pixels, classes=len(classes)),
        labeled=[frames.labeled for frames in data.validation],
    )
    if recipe.run.start_from and not checkpoint:
        start_from(module, Path(recipe.run.start_from))
    trainer = lightning.Trainer(
        max_steps=recipe.run.iterations,
        val_check_interval=recipe.run.validate_every,
        limit_val_batches=None if data.validation else 0,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        precision=choose_precision(recipe.run.precision),  # type: ignore[arg-type]
        use_distributed_sampler=False,  # `SeededBatches` has each process's shard
        callbacks=_callbacks(recipe, output, save_weights),
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        logger=[CSVLogger(output, name="csv"), TensorBoardLogger(str(output), name="tensorboard")],
        default_root_dir=output,
        plugins=[WholeFileCheckpointIO()],
        **_processes(),
    )
    loaders = DataModule(recipe, data.training, data.validation)
    trainer.fit(module, loaders, ckpt_path=checkpoint, weights_only=True)


def _check_place(save_weights: Path, *, others: Sequence[Path]) -> None:
    """The portable checkpoint must have a folder, and must not replace other checkpoints."""
    require_writable(save_weights)
    if save_weights.resolve() in [path.resolve() for path in others]:
        raise RecipeError(
            f"{save_weights} is a checkpoint of this run, or what it starts from; name another with --save-weights"
        )


def _check_resumable(last: Path, recipe: Recipe) -> None:
    """The run's recipe must be this one, but for the schedule and the data's place."""
    checkpoint = read_checkpoint(last)
    before = checkpoint["card"]["training"]
    if "iterations_done" not in before:
        raise RecipeError(f"{last} was imported and is no run to go on with; start from it: run.start_from={last}")
    then = _flat(before)
    differences = [
        f"{name} was {then.get(name)}, is now {value}"
        for name, value in _flat(without_places(recipe)).items()
        if then.get(name) != value
    ]
    if differences:
        raise RecipeError(
            f"{last} was trained by another recipe: {'; '.join(differences)}; go on with the same, or start anew with "
            "another --output"
        )
    done, planned, iterations = checkpoint["global_step"], before["run"]["iterations"], recipe.run.iterations
    if done >= iterations:
        raise RecipeError(
            f"{last} is of iteration {done}, and run.iterations is {iterations}: the run is finished; give it more "
            "iterations to go on"
        )
    if planned != iterations:
        print(f"run.iterations was {planned} and is now {iterations}: the learning rate follows the new one")


def _flat(training: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a recipe that a run that goes on must not change, by names such as data.1.weight."""
    sections = {field.name: training[field.name] for field in fields(Recipe) if field.name not in ("name", "run")}
    data = sections.pop("data")
    sets = [{"class_map": None, **entries} for entries in (data if isinstance(data, list) else [data])]
    if isinstance(data, list):
        sections.update({f"data.{number}": entries for number, entries in enumerate(sets)}, data={"sets": len(sets)})
    else:
        sections["data"] = {"sets": 1, **sets[0]}
    return {f"{section}.{key}": value for section, entries in sections.items() for key, value in entries.items()}


def choose_precision(precision: str) -> str:
    """The precision for Lightning.

    "auto" is bf16-mixed where the device has bf16 instructions, else 16-mixed on a GPU and 32-true on a CPU.
    """
    if precision != "auto":
        return precision
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    return "bf16-mixed" if computes_in_bf16() else "32-true"


def _callbacks(recipe: Recipe, output: Path, save_weights: Path | None) -> list[lightning.Callback]:
    scored, last = bool(recipe.data.scored), output / "last.ckpt"
    callbacks: list[lightning.Callback] = [LearningRateMonitor()]
    if recipe.optimizer.average_decay:
        device = "cuda" if torch.cuda.is_available() else "cpu"  # it is set up before the network is there
        # Lightning's EMAWeightAveraging averages tensor by tensor: four times as long, and thousands of calls on a GPU.
        average = get_ema_multi_avg_fn(recipe.optimizer.average_decay)
        callbacks.append(WeightAveraging(device=device, multi_avg_fn=average))
    callbacks.append(ProgressReport(output))
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar())
    if scored:
        # Before the last one is saved, which holds the best score so far.
        callbacks.append(BestCheckpoint(output))
    every = None if scored else recipe.run.validate_every
    callbacks.append(ModelCheckpoint(output, filename="last", enable_version_counter=False, every_n_train_steps=every))
    callbacks.append(GracefulStop(last, minutes=recipe.run.max_minutes))
    if save_weights:
        callbacks.append(PortableCheckpoint(last, save_weights))
    return callbacks


def _processes() -> dict[str, Any]:
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


def _class_weights(recipe: Recipe, pixels: Sequence[np.ndarray], *, classes: int) -> torch.Tensor | None:
    if recipe.loss.class_balance == 0:
        return None
    one = len(pixels) == 1
    counts = pixels[0] if one else class_shares(pixels, [entry.weight for entry in recipe.data.sets])
    return balanced_weights(counts[:classes].tolist(), power=recipe.loss.class_balance)


def _card(recipe: Recipe, classes: ClassMap) -> ModelCard:
    return ModelCard.from_dict(
        {
            "name": "BiSeNetV2-Large" if (recipe.network.width, recipe.network.depth) == (2, 3) else "BiSeNetV2",
            "classes": classes.to_list(),
            "mean": recipe.data.mean,
            "std": recipe.data.std,
            "network_size": recipe.data.network_size,
        }
    )
