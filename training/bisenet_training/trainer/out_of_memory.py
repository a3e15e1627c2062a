# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Says what to make smaller where the memory is not enough for a training run."""

from contextlib import contextmanager
from typing import Iterator

import cv2
import torch

from bisenet_training.errors import OutOfMemory
from bisenet_training.trainer.recipe import AugmentationRecipe, Recipe

WORDS_OF_ALLOCATORS = ("DefaultCPUAllocator", "Insufficient memory", "Unable to allocate", "bad_alloc")
"""Words by which a full memory is told from other errors of torch, OpenCV, numpy and C++.

These have no type of their own, or come from a loader process.
"""
WORDS_OF_ENDED_LOADERS = ("is killed by signal", "exited unexpectedly")
"""Words by which torch tells that the system has ended a loader process."""


@contextmanager
def explain_out_of_memory(recipe: Recipe) -> Iterator[None]:
    """Raises OutOfMemory, with the recipe's entries to change, where the memory of the GPU or the machine is full."""
    try:
        yield
    except (RuntimeError, MemoryError, cv2.error) as error:
        advice = _advice(error, recipe)
        if not advice:
            raise
        raise OutOfMemory(f"{advice}; {_first_line(error)}") from error


def _advice(error: Exception, recipe: Recipe) -> str:
    """Says which memory is full and what to do about it; "" where the error is another."""
    run = recipe.run
    smaller = (
        f"a run.batch_size below {run.batch_size}, with optimizer.learning_rate in proportion, or less than "
        f"{_largest_size(recipe.augmentation)}"
    )
    if isinstance(error, torch.OutOfMemoryError):
        return f"the GPU's memory is not enough for this recipe: choose {smaller}, or train on more GPUs"
    if isinstance(error, MemoryError) or any(words in str(error) for words in WORDS_OF_ALLOCATORS):
        return (
            f"the machine's memory is not enough for this recipe: choose {smaller}, fewer run.workers (now "
            f"{run.workers}) or less for run.cache_gigabytes (now {run.cache_gigabytes:g})"
        )
    if any(words in str(error) for words in WORDS_OF_ENDED_LOADERS):
        return (
            "the system ended a process that loads data, mostly because memory was short: choose fewer run.workers "
            f"(now {run.workers}) or less for run.cache_gigabytes (now {run.cache_gigabytes:g}); in a container, give "
            "it more shared memory, such as with `docker run --shm-size=8g`"
        )
    return ""


def _largest_size(augmentation: AugmentationRecipe) -> str:
    """The entry that decides on the memory of an image; in a recipe a size is height, width."""
    entries = {name: getattr(augmentation, name) for name in ("target_size", "resize", "crop")}
    sizes = {name: size for name, size in entries.items() if size and not (name == "crop" and augmentation.resize)}
    return " and ".join(f"augmentation.{name}=[{height},{width}]" for name, (height, width) in sizes.items())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
