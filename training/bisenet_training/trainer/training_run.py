# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A training run: checks, data, module, callbacks, and PyTorch Lightning's trainer."""

import logging
import signal
import sys
import warnings
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence, TextIO

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities import rank_zero_only

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.files.atomic_write import remove_partial
from bisenet_ros.files.file_names import check_path
from bisenet_ros.files.folder_lock import lock_folder
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.result_folder import require_writable
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.network import BiSeNetV2
from bisenet_training.errors import RecipeError
from bisenet_training.trainer.allocator import keep_freed_memory
from bisenet_training.trainer.best_checkpoint import BestCheckpoint
from bisenet_training.trainer.checkpoint_io import WholeFileCheckpointIO
from bisenet_training.trainer.data_module import DataModule
from bisenet_training.trainer.devices import choose_precision, cluster_environment, require_shares, trainer_devices
from bisenet_training.trainer.graceful_stop import GracefulStop
from bisenet_training.trainer.losses import balanced_weights
from bisenet_training.trainer.module import SegmentationModule
from bisenet_training.trainer.out_of_memory import explain_out_of_memory
from bisenet_training.trainer.progress_report import ProgressReport
from bisenet_training.trainer.recipe import NetworkRecipe, Recipe
from bisenet_training.trainer.resume import check_resumable
from bisenet_training.trainer.run_data import class_shares, open_data
from bisenet_training.trainer.starting_weights import Start, read_start, start_from
from bisenet_training.trainer.unreadable_frame import explain_unreadable_frame
from bisenet_training.trainer.weight_average import make_weight_average

ADVICE = "give the same command again, with --resume (in place of any --resume-from) where a last.ckpt is there"
"""What to do after an error that the user can fix."""
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
        ModelError: a checkpoint to start from or to go on with cannot be used.
        BisenetError: the recipe's network cannot be made, or another run is at work in the output.
        DataError: the data set is not as it should be.
        TrainingDiverged: the loss is not finite any more.
        OutOfMemory: the memory of the GPU or of the machine is not enough.
    """
    check_path(output)  # TensorBoard writes to paths in UTF-8 alone
    last, best = output / "last.ckpt", output / "best.ckpt"
    if resume and not last.is_file():
        raise RecipeError(f"expected a checkpoint to resume at {last}, found none; start without --resume")
    if last.exists() and not resume:
        raise RecipeError(f"{output} holds a run already; pass --resume to go on with it, or another --output")
    if best.exists() and not resume:
        raise RecipeError(f"{best} would be replaced; move it away, or pass another --output")
    if save_weights:
        _check_place(save_weights, others=[last, best, Path(recipe.run.start_from or last)])
    checkpoint, start = last if resume else resume_from, None
    if checkpoint:
        is_portable = check_resumable(checkpoint, recipe)
        if save_weights and not is_portable:
            _check_place(save_weights, others=[checkpoint])
    elif recipe.run.start_from:
        start = read_start(Path(recipe.run.start_from), recipe.network)
    _check_network(recipe.network)
    devices = trainer_devices()
    require_shares(recipe.run.batch_size, processes=devices["devices"] * devices["num_nodes"])
    with _lock(output) or nullcontext(), warnings.catch_warnings():
        for message in IRRELEVANT_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        with explain_full_disk(output, advice=ADVICE), explain_out_of_memory(recipe):
            _fit(recipe, output, devices=devices, start=start, checkpoint=checkpoint, save_weights=save_weights)


@rank_zero_only
def _lock(output: Path) -> TextIO:
    """Keeps other runs out of the output, and removes what killed ones left; in the first process alone."""
    lock = lock_folder(output)
    remove_partial(output)
    return lock


def _fit(
    recipe: Recipe,
    output: Path,
    *,
    devices: dict[str, Any],
    start: Start | None,
    checkpoint: Path | None,
    save_weights: Path | None,
) -> None:
    if not torch.cuda.is_available():
        keep_freed_memory()
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # `ProgressReport` has what a user needs
    lightning.seed_everything(recipe.run.seed, workers=True, verbose=False)
    data = open_data(recipe, processes=devices["devices"])
    classes = data.training[0].classes
    module = SegmentationModule(
        recipe,
        _card(recipe, classes),
        _class_weights(recipe, data.pixels, classes=len(classes)),
        labeled=[dataset.labeled for dataset in data.validation],
        splits=data.splits(),
    )
    if start:
        start_from(module, start)
    trainer = lightning.Trainer(
        max_steps=recipe.run.iterations,
        val_check_interval=recipe.run.validate_every,
        limit_val_batches=None if data.validation else 0,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        precision=choose_precision(recipe.run.precision),  # type: ignore[arg-type]
        use_distributed_sampler=False,  # `SeededBatches` has each process's shard
        callbacks=_callbacks(recipe, output),
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        logger=[CSVLogger(output, name="csv"), TensorBoardLogger(str(output), name="tensorboard")],
        default_root_dir=output,
        plugins=[WholeFileCheckpointIO(save_weights), *cluster_environment()],
        **devices,
    )
    loaders = DataModule(recipe, data.training, data.validation)
    try:
        with explain_unreadable_frame(advice=ADVICE):
            trainer.fit(module, loaders, ckpt_path=checkpoint, weights_only=True)
    except BaseException:
        _kill_children(trainer.strategy.launcher)
        raise


def _kill_children(launcher: Any) -> None:
    """Ends the processes that Lightning has started for the other GPUs; they would wait for this one."""
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return
    launcher.kill(signal.SIGKILL)
    launcher.procs.clear()  # or Lightning's observer would see that they failed, and kill this process too


def _check_network(network: NetworkRecipe) -> None:
    """Raises BisenetError for a network that cannot be made, before a frame is read."""
    with torch.device("meta"):
        BiSeNetV2(classes=2, **asdict(network))


def _check_place(save_weights: Path, *, others: Sequence[Path]) -> None:
    """The portable checkpoint must have a folder, and must not replace checkpoints that hold more than it does."""
    require_writable(save_weights)
    if save_weights.resolve() in [path.resolve() for path in others]:
        raise RecipeError(
            f"{save_weights} is a checkpoint of this run, or what it starts or goes on from; name another with "
            "--save-weights"
        )


def _callbacks(recipe: Recipe, output: Path) -> list[lightning.Callback]:
    scored, last = bool(recipe.data.scored), output / "last.ckpt"
    callbacks: list[lightning.Callback] = [LearningRateMonitor()]
    if recipe.optimizer.average_decay:
        callbacks.append(make_weight_average(recipe.optimizer.average_decay))
    callbacks.append(ProgressReport(output))
    if sys.stderr.isatty():
        callbacks.append(TQDMProgressBar())
    if scored:
        # Before the last one is saved, which holds the best score so far.
        callbacks.append(BestCheckpoint(output))
    every = None if scored else recipe.run.validate_every
    callbacks.append(ModelCheckpoint(output, filename="last", enable_version_counter=False, every_n_train_steps=every))
    callbacks.append(GracefulStop(last, minutes=recipe.run.max_minutes))
    return callbacks


def _class_weights(recipe: Recipe, pixels: Sequence[np.ndarray], *, classes: int) -> torch.Tensor | None:
    if recipe.loss.class_balance == 0:
        return None
    shares = class_shares(pixels, [entry.weight for entry in recipe.data.sets])
    return balanced_weights(shares[:classes].tolist(), power=recipe.loss.class_balance)


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
