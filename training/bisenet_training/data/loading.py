# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Data loading: which frames are in the batch of an iteration, and how they are augmented, follows from the seed alone.

A run that was killed and resumed therefore has the batches of an unbroken one, with any number of workers.
"""

from functools import lru_cache
from typing import Iterator, NamedTuple, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.model.input_size import network_size
from bisenet_training.data.copy_paste import CopyPaste
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.data.transforms import Augment, pad_frame, pad_target

Example = tuple[torch.Tensor, torch.Tensor]
"""An image and its target."""
ORDER, AUGMENTATION, CHOICE = range(3)
"""Third number of a generator's seed: what it draws. Numpy pads with zeros: [s, e] is [s, e, ORDER, 0]."""


class Draw(NamedTuple):
    """A frame's position in the run, counted over all epochs, its data set, and its index in that."""

    position: int
    dataset: int
    frame: int


class SeededBatches(Sampler[list[Draw]]):
    """The batches of one process, from an iteration on: epoch after epoch over the frames, shuffled again each time.

    Of several data sets one is drawn for each position, by weight; each has epochs of its own.

    Args:
        lengths: how many frames each data set has.
        weights: of the data sets, above 0.
        batch_size: frames of an iteration, all processes together.
        iterations: where the run ends.
        seed: of the order.
        first: the iteration to begin with.
        rank, world_size: this process among those that share every batch.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        weights: Sequence[float],
        batch_size: int,
        iterations: int,
        seed: int,
        first: int,
        rank: int,
        world_size: int,
    ) -> None:
        self.lengths = lengths
        self.datasets = _drawn_by_weight(weights, iterations * batch_size, seed=seed)
        self.counts = _counts_before(self.datasets)
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
        dataset = int(self.datasets[position])
        epoch, place = divmod(int(self.counts[position]), self.lengths[dataset])
        return Draw(position, dataset, int(_shuffled(self.lengths[dataset], self.seed, epoch, dataset)[place]))


def _drawn_by_weight(weights: Sequence[float], positions: int, *, seed: int) -> np.ndarray:
    """Draws the data set of each position: positions uint8. A longer run begins with those of a shorter one."""
    ends = np.cumsum(weights) / np.sum(weights)
    drawn = np.random.default_rng([seed, 0, CHOICE]).random(positions)
    return np.searchsorted(ends[:-1], drawn, side="right").astype(np.uint8)


def _counts_before(datasets: np.ndarray) -> np.ndarray:
    """Counts, for each position, those before it of the same data set: positions int64."""
    counts = np.empty(len(datasets), np.int64)
    for dataset in np.unique(datasets):
        places = np.flatnonzero(datasets == dataset)
        counts[places] = np.arange(len(places))
    return counts


@lru_cache(maxsize=64)  # of each data set two: a batch may reach into the next epoch
def _shuffled(length: int, seed: int, epoch: int, dataset: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch, ORDER, dataset]).permutation(length)


class AugmentedFrames(Dataset):
    """Augmented frames, by `Draw`: h x w x 3 uint8 BGR and h x w uint8 targets of the crop's size.

    They are normalized where they are trained on: bytes are a fifth of the copying, which one thread does for a GPU.

    Args:
        datasets: those that are drawn from.
        augment: what every frame goes through.
        copy_paste: what every second frame goes through before; its other frame is any of the same data set.
        seed: of what is drawn.
    """

    def __init__(
        self,
        datasets: Sequence[SegmentationDataset],
        augment: Augment,
        *,
        copy_paste: CopyPaste | None = None,
        seed: int,
    ) -> None:
        self.datasets = datasets
        self.augment = augment
        self.copy_paste = copy_paste
        self.seed = seed

    def __getitem__(self, draw: Draw) -> Example:
        rng = np.random.default_rng([self.seed, draw.position, AUGMENTATION])
        dataset = self.datasets[draw.dataset]
        frame = dataset[draw.frame]
        if self.copy_paste and rng.random() < 0.5:
            frame = self.copy_paste(frame, dataset[int(rng.integers(len(dataset)))], rng)
        image, target = self.augment(*frame, rng)
        return torch.from_numpy(image.copy()), torch.from_numpy(target.copy())


class ValidationFrames(Dataset):
    """Frames to validate with, preprocessed as by the engines.

    3 x h x w float32 normalized RGB of the network's size, and H x W uint8 targets of the frame's own; both padded as
    the data set says. The size, mean and std are those of the model's card.
    """

    def __init__(
        self, dataset: SegmentationDataset, *, trained: tuple[int, int], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        self.dataset = dataset
        self.trained = trained
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Example:
        image, target = self.dataset[index]
        image = pad_frame(image, self.dataset.padding, mean=self.mean)
        target = pad_target(target, self.dataset.padding)
        size = network_size(*image.shape[:2], trained=self.trained, choice=self.dataset.size_choice)
        pixels = normalize_frame(image, size, mean=self.mean, std=self.std)
        return torch.from_numpy(pixels[0]), torch.from_numpy(target.copy())


def worker_count(wanted: int, *, processes: int) -> int:
    """How many loader processes a training process has: those wanted, but at most one for each of its cores.

    Args:
        wanted: the recipe's `run.workers`.
        processes: training processes that share the machine's cores.
    """
    return min(wanted, max(1, usable_cores() // processes))
