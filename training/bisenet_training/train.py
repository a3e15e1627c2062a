"""Train a network by a recipe: `bisenet train RECIPE.yaml data.root=...`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Optional, Tuple

import lightning
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from bisenet_ros.model_card import ModelCard
from bisenet_training.datasets import DATASETS, CamVid
from bisenet_training.losses import balanced_weights
from bisenet_training.module import SegmentationModule
from bisenet_training.recipe import Recipe, RecipeError, as_dict, load_recipe
from bisenet_training.transforms import Augment, ToTensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a recipe, such as training/recipes/camvid.yaml")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="entries to set, such as data.root=/data/camvid"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs"), help="checkpoints and logs go to OUTPUT/<recipe's name>"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the same output")


def run(arguments: argparse.Namespace) -> int:
    recipe = load_recipe(arguments.recipe, arguments.overrides)
    best = train(recipe, arguments.output / recipe.name, resume=arguments.resume)
    print(f"best checkpoint: {best}")
    return 0


def train(recipe: Recipe, output: Path, *, resume: bool) -> Path:
    """Trains by the recipe and returns the checkpoint with the best validation mIoU.

    Raises:
        RecipeError: the recipe cannot be followed with this data set, there is nothing to resume or it was made by
            another recipe, or a run would be overwritten.
        DataError: the data set is not as it should be.
    """
    if recipe.data.dataset not in DATASETS:
        raise RecipeError(f"data.dataset must be one of {sorted(DATASETS)}, got {recipe.data.dataset!r}")
    last = output / "last.ckpt"
    done = _iterations_done(last, recipe) if resume else 0
    if not resume and last.exists():
        raise RecipeError(f"{output} holds a run already; pass --resume to go on with it, or another --output")
    lightning.seed_everything(recipe.run.seed + done, workers=True)  # a run that goes on draws anew
    training, validation = _loaders(recipe)
    module = SegmentationModule(recipe, _card(recipe), _class_weights(recipe, training.dataset))
    if recipe.run.start_from and not resume:
        module.start_from(Path(recipe.run.start_from))
    in_place = partial(ModelCheckpoint, dirpath=output, enable_version_counter=False)
    best = in_place(filename="best", monitor="val_miou", mode="max")
    newest = in_place(filename="last")
    trainer = lightning.Trainer(
        max_steps=recipe.run.iterations,
        val_check_interval=recipe.run.validate_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        callbacks=[best, newest, LearningRateMonitor()],
        logger=[CSVLogger(output, name="csv"), TensorBoardLogger(str(output), name="tensorboard")],
        default_root_dir=output,
    )
    trainer.fit(module, training, validation, ckpt_path=last if resume else None, weights_only=True)
    return Path(best.best_model_path)


def _iterations_done(last: Path, recipe: Recipe) -> int:
    """How far the run to resume has come; its recipe must be this one, but for the schedule and the data's place."""
    if not last.is_file():
        raise RecipeError(f"expected a checkpoint to resume at {last}, found none; start without --resume")
    checkpoint = torch.load(last, map_location="cpu", weights_only=True)
    before, now = checkpoint["card"]["training"], as_dict(recipe)
    now["data"].pop("root")
    for section in ("data", "network", "augmentation", "loss", "optimizer"):
        if before[section] != now[section]:
            raise RecipeError(
                f"{last} was trained with {section} {before[section]}, the recipe now says {now[section]}; "
                "go on with the same, or start anew with another --output"
            )
    return checkpoint["global_step"]


def _loaders(recipe: Recipe) -> Tuple[DataLoader, DataLoader]:
    to_tensor = ToTensor(mean=recipe.data.mean, std=recipe.data.std)
    height, width = recipe.augmentation.crop
    resize = recipe.augmentation.resize
    augment = Augment(
        scales=recipe.augmentation.scales,
        crop=(height, width),
        resize=(resize[0], resize[1]) if resize else None,
        flip=recipe.augmentation.flip,
        colour_jitter=recipe.augmentation.colour_jitter,
        then=to_tensor,
    )
    dataset, root = DATASETS[recipe.data.dataset], Path(recipe.data.root)
    loader = partial(DataLoader, num_workers=recipe.run.workers, persistent_workers=recipe.run.workers > 0)
    frames = dataset(root, recipe.data.train_split, augment)
    if len(frames) < recipe.run.batch_size:
        raise RecipeError(
            f"data.train_split {recipe.data.train_split!r} has {len(frames)} frames, fewer than run.batch_size "
            f"{recipe.run.batch_size}; choose a smaller batch"
        )
    training = loader(
        frames,
        batch_size=recipe.run.batch_size,
        shuffle=True,
        drop_last=True,
    )
    return training, loader(dataset(root, recipe.data.val_split, to_tensor))


def _class_weights(recipe: Recipe, frames: CamVid) -> Optional[torch.Tensor]:
    if recipe.loss.class_balance == 0:
        return None
    return balanced_weights(frames.pixels_per_class(), power=recipe.loss.class_balance)


def _card(recipe: Recipe) -> ModelCard:
    dataset = DATASETS[recipe.data.dataset]
    return ModelCard.from_dict(
        {
            "name": "BiSeNetV2-Large" if (recipe.network.width, recipe.network.depth) == (2, 3) else "BiSeNetV2",
            "labels": dataset.labels.to_list(),
            "mean": recipe.data.mean,
            "std": recipe.data.std,
            "network_size": dataset.frame_size,
        }
    )
