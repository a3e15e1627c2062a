# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A training run of two processes: by torchrun, and by Lightning itself as in a Slurm job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import List, NamedTuple, Tuple

import pytest
from bisenet_training.analysis.torch_engine import TorchEngine
from bisenet_training.commands.train import DIVERGED
from training_runs import checkpoint, small_run

from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.network.checkpoint import load_checkpoint
from demo.clip import frame_ids, read_ground_truth, read_image

IN_TURN = """
import json, sys
from bisenet_ros.cli import main
assert [main(command) for command in json.loads(sys.argv[1])] == [0, 1]
"""


class TwoProcesses(NamedTuple):
    """What they left: a run that they shared, and the errors of one that they could not."""

    output: Path
    errors: str


@pytest.fixture(scope="module")
def two_processes(camvid, tmp_path_factory) -> TwoProcesses:
    folder = tmp_path_factory.mktemp("two_processes")
    (folder / "in_turn.py").write_text(IN_TURN)
    shared = small_run(camvid, folder / "shared", run__iterations=6, run__validate_every=3)
    refused = small_run(camvid, folder / "refused", run__batch_size=2)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, str(folder / "in_turn.py"), json.dumps([shared, refused])],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        timeout=150,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return TwoProcesses(folder / "shared", done.stderr)


def test_two_processes_share_every_batch_and_the_validation(two_processes):
    last = checkpoint(two_processes.output)
    training = last["card"]["training"]
    assert last["global_step"] == 6 and training["processes"] == 2
    assert training["images_seen"] == 6 * training["run"]["batch_size"]
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"] == 6, "batches, not halves"

    engine = TorchEngine(*load_checkpoint(two_processes.output / "camvid" / "last.ckpt"))
    seen = [(engine.segment(read_image(frame)), read_ground_truth(frame)) for frame in frame_ids()[50:53]]
    confusion = sum(confusion_matrix(target, mask, classes=11) for mask, target in seen)
    assert last["card"]["scores"]["val_miou"] == pytest.approx(mean_iou(confusion), abs=1e-4), "every frame, once"


def test_each_process_needs_a_frame_and_two_images(two_processes):
    assert "each at least 2 images" in two_processes.errors


LAUNCHED = """
import os, sys, time
from bisenet_ros.cli import main
from bisenet_training.trainer import module, training_run

devices = training_run.trainer_devices
training_run.trainer_devices = lambda: {**devices(), "devices": 2, "strategy": "ddp"}
losses, boosted_loss, first = 0, module.boosted_loss, "LOCAL_RANK" not in os.environ

def loss(*args, **options):
    global losses
    losses += 1
    if losses < 4:
        return boosted_loss(*args, **options)
    if sys.argv[1] == "fail":
        time.sleep(0 if first else 300)
        raise OSError("as planned")
    return boosted_loss(*args, **options) * (1 if first else float("nan"))

module.boosted_loss = loss
sys.exit(main(sys.argv[2:]))
"""
"""A run of two processes of which Lightning starts the second; its fourth loss is "nan", or the first process fails."""
IN_SLURM = {"NTASKS": 1, "JOB_ID": 7, "JOB_NAME": "train", "PROCID": 0, "LOCALID": 0, "NODEID": 0, "NTASKS_PER_NODE": 1}


def launched(folder: Path, how: str, command: List[str]) -> Tuple[int, str]:
    """The exit code and the errors; waits until no process writes to stderr any more."""
    (folder / "launched.py").write_text(LAUNCHED)
    slurm = {f"SLURM_{name}": str(value) for name, value in IN_SLURM.items()}
    done = subprocess.run(
        [sys.executable, str(folder / "launched.py"), how, *command],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **slurm},
        timeout=150,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.returncode, done.stderr


def test_a_loss_that_is_no_number_in_one_process_ends_all_with_the_same_exit_code(camvid, tmp_path):
    code, errors = launched(tmp_path, "nan", small_run(camvid, tmp_path))
    assert (code, errors.count("bisenet: error: the loss is not finite any more at iteration 3")) == (DIVERGED, 1)
    assert checkpoint(tmp_path)["card"]["training"]["processes"] == 2, "also as a Slurm job"


def test_where_the_first_process_fails_no_other_is_left(camvid, tmp_path):
    code, errors = launched(tmp_path, "fail", small_run(camvid, tmp_path))
    assert code == 1 and "as planned" in errors
