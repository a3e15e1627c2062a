# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The batches of a training run, and the processes that load them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bisenet_training.data.loading import SeededBatches, worker_count
from bisenet_training.trainer.progress_report import ProgressReport
from training_runs import small_run

from bisenet_ros.cli import main
from demo.clip import frame_ids


def test_batches_follow_the_seed_and_show_every_frame_once_an_epoch():
    def batches(**options: Any) -> list:
        settings = dict(weights=[1.0], batch_size=4, iterations=7, seed=1, first=0, rank=0, world_size=1)
        return list(SeededBatches([14], **{**settings, **options}))

    whole = batches()
    frames = [draw.frame for batch in whole for draw in batch]
    assert sorted(frames[:14]) == sorted(frames[14:]) == list(range(14)) and frames[:14] != frames[14:]
    assert batches() == whole and batches(seed=2) != whole
    assert batches(first=3) == whole[3:]
    halves = zip(batches(rank=0, world_size=2), batches(rank=1, world_size=2))
    assert [one + other for one, other in halves] == whole


def test_there_are_at_most_as_many_loader_processes_as_cores(monkeypatch):
    monkeypatch.setattr("bisenet_training.data.loading.usable_cores", lambda: 4)
    assert [worker_count(wanted, processes=1) for wanted in (0, 1, 4, 8)] == [0, 1, 4, 4]
    assert [worker_count(wanted, processes=2) for wanted in (0, 1, 4, 8)] == [0, 1, 2, 2]
    assert worker_count(8, processes=8) == 1


@pytest.mark.timeout(60)
def test_loader_processes_start_after_opencv_had_threads(camvid, tmp_path):
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 5)
    assert main(small_run(camvid, tmp_path, run__workers=2)) == 0


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:500])])
def test_a_frame_that_cannot_be_read_any_more_is_named_in_one_line(
    camvid, tmp_path, monkeypatch, capsys, workers, damage
):
    root = tmp_path / "data"
    shutil.copytree(camvid, root)
    spoiled = root / "images" / f"{frame_ids()[0]}.jpg"
    begin = ProgressReport.on_train_start

    def spoil(*arguments: Any) -> None:
        begin(*arguments)
        damage(spoiled)

    monkeypatch.setattr(ProgressReport, "on_train_start", spoil)
    assert main(small_run(root, tmp_path, run__workers=workers, run__cache_gigabytes=0)) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert line.startswith("bisenet: error: ") and str(spoiled) in line
    assert line.endswith(
        "; fix it, and give the same command again, with --resume (in place of any --resume-from) "
        "where a last.ckpt is there"
    )
