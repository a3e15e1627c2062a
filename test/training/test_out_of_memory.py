# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the memory is not enough for a run, the message says which entries to make smaller."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Callable, Iterator

import cv2
import numpy as np
import pytest
import torch
from bisenet_training.data.loading import AugmentedFrames
from bisenet_training.errors import OutOfMemory
from bisenet_training.trainer.out_of_memory import explain_out_of_memory
from bisenet_training.trainer.recipe_file import load_recipe
from small_camvid import write_small_camvid

from bisenet_ros.cli import main
from demo.clip import frame_ids

RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "camvid.yaml"
GIGABYTE = 2**30


@pytest.fixture
def command(tmp_path) -> list[str]:
    """A small run on three frames."""
    entries = {
        "data.root": write_small_camvid(tmp_path, frame_ids()[:3], size=(96, 128)),
        "data.train_split": "val",
        "data.val_split": "null",
        "augmentation.crop": "[64,96]",
        "network.width": 0.25,
        "network.head_width": 16,
        "run.batch_size": 2,
        "run.workers": 0,
        "run.precision": "32-true",
        "run.validate_every": 2,
        "run.iterations": 2,
    }
    return ["train", str(RECIPE), *(f"{key}={value}" for key, value in entries.items()), "-o", str(tmp_path / "runs")]


@pytest.fixture
def one_gigabyte_more() -> Iterator[None]:
    """This process may become 1 GB larger than it is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GIGABYTE, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_run_that_the_memory_is_not_enough_for_says_what_to_make_smaller(command, one_gigabyte_more, capsys):
    assert main([*command, "augmentation.crop=[4096,8192]"]) == 1
    error = capsys.readouterr().err
    assert "bisenet: error: the machine's memory is not enough for this recipe" in error
    assert "run.batch_size below 2, with optimizer.learning_rate in proportion, or less than augmentation" in error
    assert "augmentation.crop=[4096,8192], fewer run.workers" in error


def test_a_loader_process_that_the_system_ends_is_explained(command, monkeypatch, capsys):
    monkeypatch.setattr(AugmentedFrames, "__getitem__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert main([*command, "run.workers=1"]) == 1
    error = capsys.readouterr().err
    assert "bisenet: error: the system ended a process that loads data" in error
    assert "fewer run.workers (now 1)" in error


def fail_on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")


@pytest.mark.parametrize(
    "fill, message",
    [
        (lambda: torch.empty(10**15), "the machine's memory .* can't allocate memory"),
        (lambda: np.empty(10**15), "the machine's memory .* Unable to allocate"),
        (lambda: cv2.resize(np.zeros((9, 9), np.uint8), (30000, 2**30 // 10)), "the machine's memory .* Failed to"),
        (lambda: bytearray(10**17), "the machine's memory .*; MemoryError$"),
        (
            fail_on_a_gpu,
            "the GPU's memory .* below 16, .* less than augmentation.crop=.360,480., .* more GPUs; CUDA out .* GiB.$",
        ),
    ],
)
def test_every_allocator_is_understood(fill: Callable[[], object], message: str):
    recipe = load_recipe(RECIPE, ["data.root=."])
    with pytest.raises(OutOfMemory, match=message), explain_out_of_memory(recipe):
        fill()


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="^shapes"), explain_out_of_memory(load_recipe(RECIPE, ["data.root=."])):
        raise RuntimeError("shapes differ")
