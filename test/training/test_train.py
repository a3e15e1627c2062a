# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: real short ones on frames of the clip, in this process, in a killed one, and in two at a time."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, List, NamedTuple, Tuple
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
import yaml
from bisenet_training.analysis.torch_engine import TorchEngine
from bisenet_training.commands.train import DIVERGED
from bisenet_training.data.find_dataset import find_dataset
from bisenet_training.data.loading import SeededBatches, worker_count
from bisenet_training.trainer import progress_report
from bisenet_training.trainer.losses import boosted_loss
from bisenet_training.trainer.recipe import AugmentationRecipe, LossRecipe, OptimizerRecipe

from bisenet_ros.benchmark.machine import describe_cpu
from bisenet_ros.cli import main
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.files.folder_lock import lock_folder
from bisenet_ros.model.model_card import read_card
from bisenet_ros.network.checkpoint import load_checkpoint
from demo.clip import FOLDER, frame_ids, read_ground_truth, read_image

RECIPE = Path(__file__).parents[2] / "training" / "recipes" / "camvid.yaml"
CHANGES = [
    "data.mean=[0.5,0.5,0.5]",
    "data.std=[0.2,0.2,0.2]",
    "augmentation.scales=[0.5,2.0]",
    "augmentation.scale_range=[0.5,2.0]",
    "augmentation.crop=[96,64]",
    "augmentation.resize=[180,240]",
    "augmentation.flip=false",
    "augmentation.target_size=[36,48]",
    "augmentation.frame_size=[180,240]",
    "augmentation.brightness=0.3",
    "augmentation.contrast=0.3",
    "augmentation.saturation=0.3",
    "augmentation.channel_gain=0.1",
    "augmentation.noise=0.1",
    "augmentation.copy_paste=[road,car,building]",
    "loss.ohem_threshold=0.7",
    "loss.ohem_min_fraction=0.5",
    "loss.booster_weight=0.5",
    "loss.booster_stride=4",
    "loss.class_balance=0.4",
    "optimizer.learning_rate=0.01",
    "optimizer.momentum=0.5",
    "optimizer.weight_decay=0.01",
    "optimizer.poly_power=0.5",
    "optimizer.poly_end=0.5",
    "optimizer.warmup_iterations=1",
    "optimizer.average_decay=0.9",
    "run.precision=bf16-mixed",
    "run.seed=2",
]
"""Each entry of a recipe that says how a network learns, with another value than that of the small run."""


@pytest.fixture(scope="module")
def camvid(tmp_path_factory) -> Path:
    """A small CamVid tree: seven frames of the clip to train on, three to validate."""
    root = tmp_path_factory.mktemp("camvid")
    (root / "images").symlink_to(FOLDER / "images")
    (root / "labels").symlink_to(FOLDER / "labels")
    (root / "train.txt").write_text("\n".join(frame_ids()[:7]))
    (root / "val.txt").write_text("\n".join(frame_ids()[50:53]))
    return root


def small_run(camvid: Path, output: Path, **overrides: Any) -> List[str]:
    """A command line; overrides have "__" for the dot."""
    entries = {
        "data.root": camvid,
        "data.network_size": "[96,128]",
        "augmentation.crop": "[64,96]",
        "augmentation.scales": "[0.5,0.67,0.83,1.0,1.17,1.33]",
        "network.width": 0.25,
        "network.head_width": 16,
        "run.batch_size": 4,
        "run.workers": 0,
        "run.precision": "32-true",
        "optimizer.learning_rate": 0.025,
        "run.validate_every": 2,
        "run.iterations": 4,
        **{key.replace("__", "."): value for key, value in overrides.items()},
    }
    return ["train", str(RECIPE), *(f"{key}={value}" for key, value in entries.items()), "-o", str(output)]


def checkpoint(output: Path, name: str = "last") -> Dict[str, Any]:
    return torch.load(output / "camvid" / f"{name}.ckpt", weights_only=True)


def logged(output: Path, column: str) -> List[float]:
    """The values of a column in the CSV logs of all runs, in order."""
    logs = sorted((output / "camvid" / "csv").glob("*/metrics.csv"))
    return [float(row[column]) for log in logs for row in csv.DictReader(log.open()) if row.get(column)]


def same_weights(one: Dict[str, Any], other: Dict[str, Any]) -> bool:
    return one["state_dict"].keys() == other["state_dict"].keys() and all(
        torch.equal(tensor, other["state_dict"][key]) for key, tensor in one["state_dict"].items()
    )


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


def test_a_short_run_learns_reports_and_exports(camvid, tmp_path):
    assert main(small_run(camvid, tmp_path, run__iterations=80, run__validate_every=40)) == 0
    last = checkpoint(tmp_path)
    assert last["global_step"] == 80 and last["card"]["scores"]["iteration"] == 80
    losses = logged(tmp_path, "loss")
    assert np.mean(losses[-3:]) < 0.9 * losses[0], losses
    assert len(logged(tmp_path, "val_miou")) == 2
    for rate in ("images_per_second", "images_per_second_computing"):
        assert len(logged(tmp_path, rate)) == 2 and min(logged(tmp_path, rate)) > 0
    assert list((tmp_path / "camvid" / "tensorboard").glob("*/events*"))

    model = tmp_path / "model.onnx"
    assert main(["export", str(tmp_path / "camvid" / "best.ckpt"), "-o", str(model)]) == 0
    card = read_card(model)
    assert card.scores["val_miou"] == pytest.approx(max(logged(tmp_path, "val_miou")))
    assert card.training["optimizer"]["learning_rate"] == 0.025 and "root" not in card.training["data"]
    assert card.training["images_seen"] == card.scores["iteration"] * card.training["run"]["batch_size"]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else describe_cpu()
    assert card.training["device"] == device


@pytest.mark.parametrize(
    "number, code, overrides",
    [
        (signal.SIGKILL, -signal.SIGKILL, {}),
        (signal.SIGTERM, 143, {"optimizer__average_decay": 0.9, "run__workers": 1}),
    ],
)
def test_a_run_that_a_signal_ended_ends_with_the_same_weights_when_resumed(camvid, tmp_path, number, code, overrides):
    overrides = {**overrides, "run__iterations": 40, "run__validate_every": 10}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command, last = small_run(camvid, tmp_path / "ended", **overrides), tmp_path / "ended" / "camvid" / "last.ckpt"
    found, printed = signal_after_a_checkpoint(number, command, last)
    assert found == code, printed
    done = checkpoint(tmp_path / "ended")["global_step"]
    assert 0 < done < 40
    if number == signal.SIGTERM:
        assert f"stopped at iteration {done}, by SIGTERM; the same command with --resume goes on" in printed
    assert main([*command, "--resume"]) == 0
    whole, resumed = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "ended")
    assert resumed["global_step"] == 40 and same_weights(whole, resumed)
    assert resumed["card"]["scores"] == whole["card"]["scores"] and resumed["card"]["training"]["earlier_runs"] == []
    assert resumed["card"]["training"]["images_seen"] == whole["card"]["training"]["images_seen"]
    best = [checkpoint(tmp_path / folder, "best") for folder in ("whole", "ended")]
    assert best[0]["card"]["scores"] == best[1]["card"]["scores"] and same_weights(*best)


def test_sigterm_between_validations_saves_the_portable_checkpoint_too(camvid, tmp_path, monkeypatch):
    iterations = count(1)

    def loss(*args: Any, **options: Any) -> torch.Tensor:
        if next(iterations) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return boosted_loss(*args, **options)

    monkeypatch.setattr("bisenet_training.trainer.module.boosted_loss", loss)
    small = tmp_path / "small.pt"
    assert main([*small_run(camvid, tmp_path), "--save-weights", str(small)]) == 143
    assert torch.load(small, weights_only=True)["global_step"] == checkpoint(tmp_path)["global_step"] == 3


@pytest.mark.timeout(60)
def test_loader_processes_start_after_opencv_had_threads(camvid, tmp_path):
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 5)
    assert main(small_run(camvid, tmp_path, run__workers=2)) == 0


def test_a_run_that_ctrl_c_ends_says_so(camvid, tmp_path):
    command = small_run(camvid, tmp_path, run__iterations=400, run__validate_every=10)
    code, printed = signal_after_a_checkpoint(signal.SIGINT, command, tmp_path / "camvid" / "last.ckpt")
    assert code == 130 and re.search(r"stopped at iteration \d+, by the keyboard; the same command with", printed)


def signal_after_a_checkpoint(number: signal.Signals, command: List[str], last: Path) -> Tuple[int, str]:
    """The exit code, and what was printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bisenet_ros.cli", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(number)
    printed = process.communicate(timeout=60)[0]
    return process.returncode, printed


def test_a_data_set_of_one_class_is_refused(camvid, tmp_path, capsys):
    classes = [{"name": "all", "values": [0, 1]}]
    (tmp_path / "yard.yaml").write_text(yaml.safe_dump({"base": "camvid", "classes": classes}))
    assert main(small_run(camvid, tmp_path, data__dataset=tmp_path / "yard.yaml")) == 1
    assert "expected two classes or more, got all alone; make all else a class" in capsys.readouterr().err


def test_resuming_with_another_schedule_is_told_on_the_card(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path)) == 0
    assert main([*small_run(camvid, tmp_path, run__iterations=6), "--resume"]) == 0
    last = checkpoint(tmp_path)
    earlier = last["card"]["training"]["earlier_runs"]
    assert last["global_step"] == 6
    assert [(part["until"], part["run"]["iterations"]) for part in earlier] == [(4, 4)]

    capsys.readouterr()
    assert main(small_run(camvid, tmp_path)) == 1
    assert "holds a run already; pass --resume" in capsys.readouterr().err
    assert main([*small_run(camvid, tmp_path, loss__booster_weight=0.5), "--resume"]) == 1
    assert "loss.booster_weight was 1.0, is now 0.5" in capsys.readouterr().err
    assert main([*small_run(camvid, tmp_path, run__iterations=6), "--resume"]) == 1
    assert "the run is finished" in capsys.readouterr().err
    changed = {"run__batch_size": 2, "run__seed": 7, "run__start_from": "other.ckpt", "run__iterations": 8}
    assert main([*small_run(camvid, tmp_path, **changed), "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "run.batch_size was 4 and is now 2: from here on the frames come in another order" in printed
    assert "run.seed was 1 and is now 7: from here on" in printed
    assert "run.start_from was None and is now other.ckpt: a run that goes on has its own weights" in printed
    (tmp_path / "camvid" / "last.ckpt").write_bytes(b"cut off")
    assert main([*small_run(camvid, tmp_path, run__iterations=8), "--resume"]) == 1
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert main([*small_run(camvid, tmp_path / "elsewhere"), "--resume"]) == 1
    assert "expected a checkpoint to resume" in capsys.readouterr().err


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
    shared = small_run(camvid, folder / "shared", run__iterations=20, run__validate_every=10)
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


def test_runs_that_the_time_limit_ends_and_a_resumed_one_have_the_weights_of_an_unbroken_one(camvid, tmp_path, capsys):
    """A limit of 6 microseconds ends each run after one iteration."""
    overrides = {"run__iterations": 6, "run__validate_every": 3, "optimizer__average_decay": 0.9}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command = small_run(camvid, tmp_path / "limited", run__max_minutes=1e-7, **overrides)
    capsys.readouterr()
    steps, scored = [], []
    for resume in ([], *[["--resume"]] * 5):
        assert main([*command, *resume]) == 0
        scored.append(checkpoint(tmp_path / "limited")["card"]["scores"].get("iteration"))
        stopped = f"stopped at iteration {len(steps) + 1}, as run.max_minutes is over; the same command with --resume"
        assert (stopped in capsys.readouterr().out) == (len(steps) < 5)
        steps.append(checkpoint(tmp_path / "limited")["global_step"])
    assert steps == [1, 2, 3, 4, 5, 6] and scored == [None, None, 3, 3, 3, 6]
    assert main([*command, "--resume"]) == 1 and "the run is finished" in capsys.readouterr().err
    for name in ("last", "best"):
        whole, limited = checkpoint(tmp_path / "whole", name), checkpoint(tmp_path / "limited", name)
        assert whole["global_step"] == limited["global_step"] and same_weights(whole, limited)
        assert whole["card"]["scores"] == limited["card"]["scores"]
    validations = logged(tmp_path / "limited", "val_miou")
    assert validations == logged(tmp_path / "whole", "val_miou") and len(validations) == 2, "when due, and no more"


@pytest.mark.parametrize("val_split, average_decay", [("val", 0.0), ("val", 0.9), ("null", 0.0)])
def test_a_run_goes_on_elsewhere_from_its_portable_checkpoint(
    camvid, tmp_path, monkeypatch, capsys, val_split, average_decay
):
    weights, written = tmp_path / "weights.pt", []

    def write(path: Path, data: bytes) -> None:
        path.write_bytes(data)
        if path == weights:
            written.append(torch.load(path, weights_only=True)["global_step"])

    monkeypatch.setattr("bisenet_training.trainer.checkpoint_io.write_bytes", write)
    overrides = {"data__val_split": val_split, "optimizer__average_decay": average_decay}
    assert main([*small_run(camvid, tmp_path / "here", **overrides), "--save-weights", str(weights)]) == 0
    assert written == [2, 4], "after each validation"

    small, last = torch.load(weights, weights_only=True), checkpoint(tmp_path / "here")
    expected = last.get("current_model_state", last["state_dict"])
    assert small["optimizer_states"][0]["state"] == {}, "momentum is left out"
    scores = {} if average_decay else last["card"]["scores"]
    assert small["card"]["scores"] == scores, "no scores of the averaged weights, which are left out"
    for name, tensor in small["state_dict"].items():
        assert tensor.ndim < 2 or tensor.dtype == torch.float16
        assert torch.equal(tensor, expected[name].to(tensor.dtype)), name

    capsys.readouterr()
    there = small_run(camvid, tmp_path / "there", run__iterations=6, **overrides)
    assert main([*there, "--resume-from", str(weights)]) == 0
    assert "iteration 4 of 6" in capsys.readouterr().out
    resumed = checkpoint(tmp_path / "there")
    assert resumed["global_step"] == 6
    assert [part["until"] for part in resumed["card"]["training"]["earlier_runs"]] == [4]
    assert resumed["state_dict"]["network.head.classifier.weight"].dtype == torch.float32
    assert len(logged(tmp_path / "there", "val_miou")) == (1 if val_split == "val" else 0)


def test_a_run_does_not_go_on_with_other_classes(camvid, tmp_path, capsys):
    """As after a data set was made anew under its old name: with its classes in another order, or one more."""
    classes = [{"name": name, "values": [i]} for i, name in enumerate(find_dataset("camvid").classes.names)]
    yard = tmp_path / "yard.yaml"

    def run(classes: List[Dict[str, Any]], *options: str, **overrides: Any) -> int:
        yard.write_text(yaml.safe_dump({"base": "camvid", "classes": classes}))
        return main([*small_run(camvid, tmp_path, data__dataset=yard, **overrides), *options])

    assert run(classes, run__iterations=2) == 0
    capsys.readouterr()
    for others in (classes[::-1], [*classes, {"name": "shrub", "values": [77]}]):
        assert run(others, "--resume") == 1
        assert "expected a checkpoint of the data set's classes, " in capsys.readouterr().err
    assert checkpoint(tmp_path)["global_step"] == 2
    assert run(classes, "--resume") == 0


def test_scores_of_frames_that_are_trained_on_and_scales_that_are_not_are_told(camvid, tmp_path, capsys):
    words = "3 of the 3 frames of data.val_split 'val' are in data.train_split too"
    assert main(small_run(camvid, tmp_path / "apart", run__iterations=2)) == 0
    printed = capsys.readouterr().out
    assert words not in printed
    assert "7 of the 7 frames of 'train' are segmented at a scale that is not trained: at 0.27 of" in printed
    assert main(small_run(camvid, tmp_path / "both", run__iterations=2, data__train_split="train+val")) == 0
    assert words in capsys.readouterr().out


def test_where_a_run_can_go_on_from(camvid, tmp_path, capsys):
    assert main([*small_run(camvid, tmp_path), "--resume-from", str(tmp_path / "none.pt")]) == 1
    assert "expected a checkpoint of `bisenet train` at" in capsys.readouterr().err
    assert main([*small_run(camvid, tmp_path), "--save-weights", str(tmp_path / "none" / "weights.pt")]) == 1
    assert "expected a folder at" in capsys.readouterr().err
    assert main([*small_run(camvid, tmp_path), "--save-weights", str(tmp_path)]) == 1
    assert f"expected a file to write, got the folder {tmp_path}" in capsys.readouterr().err
    start = tmp_path / "start.ckpt"
    for taken in (tmp_path / "camvid" / "last.ckpt", tmp_path / "camvid" / "best.ckpt", start):
        taken.parent.mkdir(exist_ok=True)
        assert main([*small_run(camvid, tmp_path, run__start_from=start), "--save-weights", str(taken)]) == 1
        assert "is a checkpoint of this run, or what it starts from" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*small_run(camvid, tmp_path), "--resume", "--resume-from", "weights.pt"])
    assert "not allowed with argument --resume" in capsys.readouterr().err


def test_two_processes_share_every_batch_and_the_validation(two_processes):
    last = checkpoint(two_processes.output)
    training = last["card"]["training"]
    assert last["global_step"] == 20 and training["processes"] == 2
    assert training["images_seen"] == 20 * training["run"]["batch_size"]
    assert last["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["ready"] == 20, "batches, not halves"

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
        timeout=100,
        stderr=subprocess.PIPE,
        text=True,
    )
    return done.returncode, done.stderr


def test_a_loss_that_is_no_number_in_one_process_ends_all_with_the_same_exit_code(camvid, tmp_path):
    code, errors = launched(tmp_path, "nan", small_run(camvid, tmp_path))
    assert (code, errors.count("bisenet: error: the loss is no finite number any more at iteration 3")) == (DIVERGED, 1)
    assert checkpoint(tmp_path)["card"]["training"]["processes"] == 2, "also as a Slurm job"


def test_where_the_first_process_fails_no_other_is_left(camvid, tmp_path):
    code, errors = launched(tmp_path, "fail", small_run(camvid, tmp_path))
    assert code == 1 and "as planned" in errors


def test_a_run_starts_from_the_weights_of_another(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path)) == 0
    first = tmp_path / "camvid" / "last.ckpt"
    another = small_run(camvid, tmp_path / "b", run__start_from=first, optimizer__learning_rate=0.0)
    assert main(another) == 0
    weights = [
        c["state_dict"]["network.head.classifier.weight"] for c in (checkpoint(tmp_path), checkpoint(tmp_path / "b"))
    ]
    assert torch.equal(*weights)
    told = checkpoint(tmp_path / "b")["card"]["training"]
    assert told["started_from"]["iterations_done"] == 4 and told["run"]["start_from"] == "last.ckpt"
    scores = checkpoint(tmp_path)["card"]["scores"]
    assert told["started_from"]["scores"] == scores and 0 < scores["val_miou"] < 1

    capsys.readouterr()
    assert main(small_run(camvid, tmp_path / "c", run__start_from=first, network__width=0.5)) == 1
    assert "must have the recipe's network" in capsys.readouterr().err
    assert main(small_run(camvid, tmp_path / "c", run__start_from=tmp_path / "none.ckpt")) == 1
    assert "run.start_from must be a checkpoint, there is none at" in capsys.readouterr().err


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_last_good_checkpoint(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path)) == 0
    last = tmp_path / "camvid" / "last.ckpt"
    capsys.readouterr()
    exploding = ["optimizer.learning_rate=0.025", "run.iterations=8", "--resume"]
    weights = torch.load(last, weights_only=True)
    weights["lr_schedulers"][0]["base_lrs"] = [1e30, 1e30]
    torch.save(weights, last)
    assert main([*small_run(camvid, tmp_path), *exploding]) == DIVERGED
    error = capsys.readouterr().err
    assert "no finite number" in error and f"the last good checkpoint is {last}" in error
    good = torch.load(last, weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in good.values())


def test_without_a_validation_split_the_last_weights_are_the_result(camvid, tmp_path):
    assert main(small_run(camvid, tmp_path, data__train_split="train+val", data__val_split="null")) == 0
    assert checkpoint(tmp_path)["global_step"] == 4 and checkpoint(tmp_path)["card"]["scores"] == {}
    assert not (tmp_path / "camvid" / "best.ckpt").exists()
    load_checkpoint(tmp_path / "camvid" / "last.ckpt")


def test_best_and_last_are_told_apart_also_by_a_run_that_goes_on(camvid, tmp_path, monkeypatch):
    scores = iter([0.9, 0.1, 0.2])
    monkeypatch.setattr("bisenet_training.trainer.module.mean_iou", lambda *_, **__: next(scores))
    assert main(small_run(camvid, tmp_path)) == 0
    assert [checkpoint(tmp_path, name)["global_step"] for name in ("best", "last")] == [2, 4]
    assert main([*small_run(camvid, tmp_path, run__iterations=6), "--resume"]) == 0
    assert [checkpoint(tmp_path, name)["global_step"] for name in ("best", "last")] == [2, 6]


def test_a_run_that_goes_on_in_another_folder_keeps_its_best(camvid, tmp_path, monkeypatch):
    scores = iter([0.9, 0.1, 0.2])
    monkeypatch.setattr("bisenet_training.trainer.module.mean_iou", lambda *_, **__: next(scores))
    assert main(small_run(camvid, tmp_path / "here")) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert main([*small_run(camvid, tmp_path / "there", run__iterations=6), "--resume"]) == 0
    assert [checkpoint(tmp_path / "there", name)["global_step"] for name in ("best", "last")] == [2, 6]
    assert not (tmp_path / "here").exists()


def test_a_best_checkpoint_that_was_kept_is_not_replaced(camvid, tmp_path, capsys):
    best = tmp_path / "camvid" / "best.ckpt"
    best.parent.mkdir()
    best.write_bytes(b"kept")
    assert main(small_run(camvid, tmp_path)) == 1
    assert f"{best} would be replaced; move it away, or pass another --output" in capsys.readouterr().err
    assert best.read_bytes() == b"kept"


def test_two_runs_at_once_do_not_share_a_folder(camvid, tmp_path, capsys):
    with lock_folder(tmp_path / "camvid"):  # as a run that has not scored its weights yet
        assert main(small_run(camvid, tmp_path)) == 1
    assert f"another process is at work in {tmp_path / 'camvid'}; wait for it or stop it" in capsys.readouterr().err
    assert main(small_run(camvid, tmp_path)) == 0


def test_a_run_goes_on_whose_checkpoint_knows_no_best_score(camvid, tmp_path, capsys):
    """As when the disk was full just when `last.ckpt` was to be written, after `best.ckpt`."""
    command, folder = small_run(camvid, tmp_path), tmp_path / "camvid"
    assert main(command) == 0
    newer = (folder / "best.ckpt").read_bytes()
    shutil.rmtree(folder)
    assert main([*command, "run.max_minutes=1e-7"]) == 0
    (folder / "best.ckpt").write_bytes(newer)
    assert main([*command, "--resume"]) == 0
    best, last = (checkpoint(tmp_path, name) for name in ("best", "last"))
    assert last["global_step"] == 4 and best["global_step"] in (2, 4)


def test_a_run_tells_its_milestones(camvid, tmp_path, capsys):
    iterations = {"run__iterations": 20, "run__validate_every": 10}
    assert main(small_run(camvid, tmp_path, augmentation__frame_size="[96,128]", **iterations)) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("BiSeNetV2, 0.") and "1 x cpu" in printed[0]
    assert re.fullmatch(
        r"iteration 20 of 20: mIoU [\d.]+ %, loss [\d.]+, [\d.]+ images/s, [\d.]+ without loading", printed[2]
    )
    assert printed[-1] == f"checkpoints: {tmp_path / 'camvid' / 'best.ckpt'}, {tmp_path / 'camvid' / 'last.ckpt'}"


def test_writing_checkpoints_is_no_training_time(monkeypatch, tmp_path):
    """They are written after the report."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_report, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    recipe = SimpleNamespace(run=SimpleNamespace(validate_every=1, batch_size=2), data=SimpleNamespace(scored=[]))
    trainer, module = MagicMock(callback_metrics={"loss": 1.0}, global_step=1), MagicMock(recipe=recipe)
    report = progress_report.ProgressReport(tmp_path)
    report.on_train_start(trainer, module)
    for index in range(2):
        clock.now += 1000
        report.on_train_batch_start(trainer, module, None, index)
        clock.now += 4
        report.on_train_batch_end(trainer, module, None, None, index)
        assert report.rates["images_per_second"] == 0.5


@pytest.fixture(scope="module")
def two_iterations(camvid, tmp_path_factory):
    """Trains for two iterations with other entries of the recipe; the averaged weights and the card."""

    def run(name: str, *overrides: str) -> Dict[str, Any]:
        output = tmp_path_factory.mktemp(name)
        base = {"run__iterations": 2, "run__validate_every": 2, "data__val_split": "null"}
        # At first no class is likelier than 0.1, so that by the recipe's threshold every pixel would be hard.
        base.update(loss__ohem_threshold=0.05, loss__ohem_min_fraction=0.1)
        assert main([*small_run(camvid, output, **base), *overrides]) == 0
        return checkpoint(output)

    return run


@pytest.fixture(scope="module")
def as_it_is(two_iterations) -> Dict[str, Any]:
    return two_iterations("as_it_is")


def test_a_run_of_the_same_recipe_has_the_same_weights(two_iterations, as_it_is):
    assert same_weights(two_iterations("again"), as_it_is)


def test_the_changes_name_every_entry_that_says_how_a_network_learns():
    sections = {"augmentation": AugmentationRecipe, "loss": LossRecipe, "optimizer": OptimizerRecipe}
    learning = {f"{section}.{field.name}" for section, entries in sections.items() for field in fields(entries)}
    assert learning <= {change.split("=")[0] for change in CHANGES}


@pytest.mark.parametrize("change", CHANGES)
def test_every_entry_that_says_how_a_network_learns_has_an_effect(two_iterations, as_it_is, change):
    assert not same_weights(two_iterations("changed", change), as_it_is)


def test_mixed_precision_and_class_balance_train_too(camvid, tmp_path):
    overrides = {"run__precision": "bf16-mixed", "loss__class_balance": 0.5, "loss__ohem_threshold": "null"}
    assert main(small_run(camvid, tmp_path, **overrides)) == 0
    assert checkpoint(tmp_path)["state_dict"]["network.head.classifier.weight"].dtype == torch.float32


def test_classes_to_paste_are_those_of_the_data(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path, augmentation__copy_paste="[car,tram]")) == 1
    message = capsys.readouterr().err
    assert "augmentation.copy_paste must name classes of the data, which are sky, building, pole" in message
    assert message.endswith("got tram\n")
    assert main(small_run(camvid, tmp_path, augmentation__copy_paste="[car,bicyclist]")) == 0
    assert checkpoint(tmp_path)["card"]["training"]["augmentation"]["copy_paste"] == ["car", "bicyclist"]


def test_training_refuses_a_split_without_a_labeled_pixel(camvid, tmp_path, capsys):
    root = tmp_path / "unlabeled"
    (root / "labels").mkdir(parents=True)
    for name in ("images", "train.txt", "val.txt"):
        (root / name).symlink_to(camvid / name)
    for frame_id in frame_ids():
        (root / "labels" / f"{frame_id}.png").symlink_to(FOLDER / "labels" / f"{frame_id}.png")
    for frame_id in frame_ids()[50:53]:
        label_file = root / "labels" / f"{frame_id}.png"
        label_file.unlink()
        cv2.imwrite(str(label_file), np.full((360, 480), 255, np.uint8))
    assert main(small_run(root, tmp_path)) == 1
    message = f"none of the 3 frames of split 'val' has a labeled pixel, in the data set at {root}"
    assert message in capsys.readouterr().err
    assert not (tmp_path / "camvid" / "last.ckpt").exists()


def test_training_refuses_a_name_that_is_not_utf8_before_it_begins(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path, name=os.fsdecode(b"stra\xdfe"))) == 1
    assert "expected a path in UTF-8" in capsys.readouterr().err and not list(tmp_path.glob("*stra*"))


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"network__boosters": "[s5]"}, "boosters must be among"),
        ({"network__variant": "coin"}, "variant must be one of"),
        ({"run__batch_size": 3}, "run.batch_size is what all processes share"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused_before_a_frame_is_read(
    camvid, tmp_path, monkeypatch, capsys, overrides, message
):
    monkeypatch.setattr("bisenet_training.trainer.training_run.open_data", None)
    for name in ("TORCHELASTIC_RUN_ID", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    assert main(small_run(camvid, tmp_path, **overrides)) == 1
    assert message in capsys.readouterr().err


def test_training_refuses_data_with_problems(camvid, tmp_path, capsys):
    root = tmp_path / "spoilt"
    root.mkdir()
    for name in ("images", "train.txt", "val.txt"):
        (root / name).symlink_to(camvid / name)
    (root / "labels").mkdir()
    for frame_id in frame_ids():
        (root / "labels" / f"{frame_id}.png").symlink_to(FOLDER / "labels" / f"{frame_id}.png")
    spoilt = root / "labels" / f"{frame_ids()[3]}.png"
    spoilt.unlink()
    cv2.imwrite(str(spoilt), np.full((360, 480), 77, np.uint8))
    assert main(small_run(root, tmp_path)) == 1
    error = capsys.readouterr().err
    assert "1 of 7 frames" in error and str(spoilt) in error and "77" in error and "bisenet check-dataset" in error
    assert not (tmp_path / "camvid" / "last.ckpt").exists()
