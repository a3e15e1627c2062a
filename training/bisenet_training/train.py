"""Train a network by a recipe: `bisenet train RECIPE.yaml data.root=...`."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Tuple

import lightning
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from bisenet_ros.model_card import ModelCard
from bisenet_training.datasets import DATASETS
from bisenet_training.module import SegmentationModule
from bisenet_training.recipe import Recipe, RecipeError, load_recipe
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
        RecipeError: the data set is unknown, or there is nothing to resume.
        DataError: the data set is not as it should be.
    """
    if recipe.data.dataset not in DATASETS:
        raise RecipeError(f"data.dataset must be one of {sorted(DATASETS)}, got {recipe.data.dataset!r}")
    last = output / "last.ckpt"
    if resume and not last.is_file():
        raise RecipeError(f"expected a checkpoint to resume at {last}, found none; start without --resume")
    lightning.seed_everything(recipe.run.seed, workers=True)
    training, validation = _loaders(recipe)
    module = SegmentationModule(recipe, _card(recipe))
    checkpoints = ModelCheckpoint(
        dirpath=output, filename="best", monitor="val_miou", mode="max", save_last=True, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_steps=recipe.run.iterations,
        val_check_interval=min(recipe.run.validate_every, recipe.run.iterations),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        callbacks=[checkpoints, LearningRateMonitor()],
        logger=[CSVLogger(output, name="csv"), TensorBoardLogger(str(output), name="tensorboard")],
        default_root_dir=output,
    )
    trainer.fit(module, training, validation, ckpt_path=last if resume else None, weights_only=True)
    return Path(checkpoints.best_model_path)


def _loaders(recipe: Recipe) -> Tuple[DataLoader, DataLoader]:
    to_tensor = ToTensor(mean=recipe.data.mean, std=recipe.data.std)
    height, width = recipe.augmentation.crop
    augment = Augment(
        scales=recipe.augmentation.scales, crop=(height, width), flip=recipe.augmentation.flip, then=to_tensor
    )
    dataset, root = DATASETS[recipe.data.dataset], Path(recipe.data.root)
    loader = partial(DataLoader, num_workers=recipe.run.workers, persistent_workers=recipe.run.workers > 0)
    training = loader(
        dataset(root, recipe.data.train_split, augment),
        batch_size=recipe.run.batch_size,
        shuffle=True,
        drop_last=True,
    )
    return training, loader(dataset(root, recipe.data.val_split, to_tensor))


def _card(recipe: Recipe) -> ModelCard:
    dataset = DATASETS[recipe.data.dataset]
    return ModelCard.from_dict(
        {
            "name": "BiSeNetV2",
            "labels": dataset.labels.to_list(),
            "mean": recipe.data.mean,
            "std": recipe.data.std,
            "network_size": dataset.frame_size,
        }
    )
