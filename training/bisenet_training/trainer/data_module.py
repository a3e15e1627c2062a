# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The data loaders of a training run, as its recipe wants them."""

import sys
from dataclasses import asdict, fields
from typing import Sequence

import cv2
import lightning
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from bisenet_training.data.copy_paste import CopyPaste
from bisenet_training.data.loading import AugmentedFrames, SeededBatches, ValidationFrames, worker_count
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.data.transforms import Augment, PhotometricJitter
from bisenet_training.errors import RecipeError
from bisenet_training.trainer.recipe import Recipe


class DataModule(lightning.LightningDataModule):
    """The loaders of one process. Lightning asks for them when it knows the process's rank and the iteration."""

    trainer: lightning.Trainer

    def __init__(
        self, recipe: Recipe, training: Sequence[SegmentationDataset], validation: Sequence[SegmentationDataset]
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.training = training
        self.validation = validation

    def train_dataloader(self) -> DataLoader:
        recipe, trainer = self.recipe, self.trainer
        batches = SeededBatches(
            [len(dataset) for dataset in self.training],
            weights=[entry.weight for entry in recipe.data.sets],
            batch_size=recipe.run.batch_size,
            iterations=recipe.run.iterations,
            seed=recipe.run.seed,
            first=trainer.global_step,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        frames = AugmentedFrames(self.training, _augment(recipe), copy_paste=self._copy_paste(), seed=recipe.run.seed)
        return self._loader(frames, batch_sampler=batches)

    def val_dataloader(self) -> list[DataLoader]:
        return [self._val_loader(dataset) for dataset in self.validation]

    def _copy_paste(self) -> CopyPaste | None:
        names = self.training[0].classes.names
        chosen = self.recipe.augmentation.copy_paste
        return CopyPaste([names.index(name) for name in chosen]) if chosen else None

    def _val_loader(self, dataset: SegmentationDataset) -> DataLoader:
        trainer = self.trainer
        if len(dataset) < trainer.world_size:
            raise RecipeError(
                f"data.val_split {dataset.split!r} has {len(dataset)} frames for "
                f"{trainer.world_size} processes; each needs one: choose a larger split, or fewer processes"
            )
        data = self.recipe.data
        size = (data.network_size[0], data.network_size[1])
        frames = ValidationFrames(dataset, trained=size, mean=data.mean, std=data.std)
        return self._loader(Subset(frames, range(trainer.global_rank, len(frames), trainer.world_size)))

    def _loader(self, frames: Dataset, **options) -> DataLoader:
        workers = worker_count(self.recipe.run.workers, processes=self.trainer.num_devices)
        if workers:
            # One thread in each. Set before they are forked: in a forked process OpenCV would wait for threads forever.
            cv2.setNumThreads(1)
        return DataLoader(
            frames,
            num_workers=workers,
            # Python 3.14 would start them again, each with a copy of the decoded frames.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            pin_memory=torch.cuda.is_available(),
            **options,
        )


def _augment(recipe: Recipe) -> Augment:
    entries = asdict(recipe.augmentation)
    del entries["copy_paste"]
    jitter = PhotometricJitter(**{field.name: entries.pop(field.name) for field in fields(PhotometricJitter)})
    return Augment(**entries, jitter=jitter, mean=recipe.data.mean)
