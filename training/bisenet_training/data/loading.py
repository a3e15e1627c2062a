# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data loading: which frames are in the batch of an iteration, and how they are augmented, follows from the seed alone.

A run that was killed and resumed therefore has the batches of an unbroken one, with any number of workers.
"""

import os
from functools import lru_cache
from typing import Iterator, NamedTuple, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.model.input_size import network_size
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.data.transforms import Augment, pad_frame, pad_target

Example = tuple[torch.Tensor, torch.Tensor]
"""An image and its target."""


class Draw(NamedTuple):
    """A frame's position in the run, counted over all epochs, and its index in the data set."""

    position: int
    frame: int


class SeededBatches(Sampler[list[Draw]]):
    """The batches of one process, from an iteration on: epoch after epoch over the frames, shuffled anew each time.

    Args:
        frames: how many there are.
        batch_size: frames of an iteration, all processes together.
        iterations: where the run ends.
        seed: of the order.
        first: the iteration to begin with.
        rank, world_size: this process among those that share every batch.
    """

    def __init__(
        self, frames: int, *, batch_size: int, iterations: int, seed: int, first: int, rank: int, world_size: int
    ) -> None:
        self.frames = frames
        self.batch_size = batch_size
        self.iterations = iterations
        self.seed = seed
        self.first = first
        self.shard = batch_size // world_size
        self.offset = rank * self.shard

    def __len__(self) -> int:
        """The whole run's iterations: Lightning counts those before `first` as done."""
        return self.iterations

    def __iter__(self) -> Iterator[list[Draw]]:
        for iteration in range(self.first, self.iterations):
            start = iteration * self.batch_size + self.offset
            yield [self._draw(position) for position in range(start, start + self.shard)]

    def _draw(self, position: int) -> Draw:
        epoch, place = divmod(position, self.frames)
        return Draw(position, int(_shuffled(self.frames, self.seed, epoch)[place]))


@lru_cache(maxsize=2)  # a batch may reach into the next epoch
def _shuffled(frames: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(frames)


class TrainingFrames(Dataset):
    """Augmented frames, by `Draw`: 3 x h x w float32 normalized RGB and h x w int64 targets of the crop's size."""

    def __init__(self, frames: SegmentationDataset, augment: Augment, *, seed: int) -> None:
        self.frames = frames
        self.augment = augment
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Example:
        # A third number keeps these draws apart from those of the order.
        rng = np.random.default_rng([self.seed, draw.position, 1])
        return self.augment(*self.frames[draw.frame], rng)


class ValidationFrames(Dataset):
    """Frames as the engines see them.

    3 x h x w float32 normalized RGB of the network's size, and H x W int64 targets of the frame's own; both padded as
    the data set says. The size, mean and std are those of the model's card.
    """

    def __init__(
        self, frames: SegmentationDataset, *, trained: tuple[int, int], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.frames = frames
        self.trained = trained
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Example:
        image, target = self.frames[index]
        image = pad_frame(image, self.frames.padding, mean=self.mean)
        target = pad_target(target, self.frames.padding)
        size = network_size(*image.shape[:2], trained=self.trained, choice=self.frames.size_choice)
        pixels = normalize_frame(image, size, mean=self.mean, std=self.std)
        return torch.from_numpy(pixels[0]), torch.from_numpy(target.astype(np.int64))


def worker_count(wanted: int, *, processes: int) -> int:
    """The loader processes of one of a machine's training processes: at most as many as its part of the cores."""
    return min(wanted, max(1, len(os.sched_getaffinity(0)) // processes))
