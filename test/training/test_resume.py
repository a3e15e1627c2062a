# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs that end early and go on: after a signal, at a time limit, elsewhere, with another recipe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import pytest
import torch
import yaml
from bisenet_training.data.find_dataset import find_dataset
from bisenet_training.trainer.losses import boosted_loss
from bisenet_training.trainer.module import SegmentationModule
from training_runs import checkpoint, logged, same_weights, small_run

from bisenet_ros.cli import main


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[signal.Signals, int], None]]:
    """Makes runs of this process get a signal in an iteration."""

    def plan(number: signal.Signals, iteration: int) -> None:
        iterations = count(1)

        def loss(*args: Any, **options: Any) -> torch.Tensor:
            if next(iterations) == iteration:
                os.kill(os.getpid(), number)
            return boosted_loss(*args, **options)

        monkeypatch.setattr("bisenet_training.trainer.module.boosted_loss", loss)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield plan
    signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored


@pytest.mark.parametrize("overrides", [{}, {"optimizer__average_decay": 0.9, "run__workers": 1}])
def test_a_run_that_a_signal_ended_ends_with_the_same_weights_when_resumed(
    camvid, tmp_path, signal_at, capsys, overrides
):
    overrides = {**overrides, "run__iterations": 12, "run__validate_every": 4}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command = small_run(camvid, tmp_path / "ended", **overrides)
    signal_at(signal.SIGTERM, 6)
    assert main(command) == 143
    assert "stopped at iteration 6, by SIGTERM; the same command with --resume goes on" in capsys.readouterr().out
    assert checkpoint(tmp_path / "ended")["global_step"] == 6
    assert_resumes_as_unbroken(command, tmp_path)


def test_sigterm_in_a_validation_goes_on_from_the_one_before_and_says_so(camvid, tmp_path, capsys, monkeypatch):
    overrides = {"run__iterations": 12, "run__validate_every": 4}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command = small_run(camvid, tmp_path / "ended", **overrides)
    validate = SegmentationModule.validation_step

    def end_in_the_second(module: SegmentationModule, *batch: Any) -> None:
        if module.global_step == 8:
            os.kill(os.getpid(), signal.SIGTERM)
        validate(module, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentationModule, "validation_step", end_in_the_second)
        assert main(command) == 143
    last = tmp_path / "ended" / "camvid" / "last.ckpt"
    stopped = "stopped at iteration 8, by SIGTERM; the same command with --resume goes on from"
    assert f"{stopped} {last}, which is of iteration 4\n" in capsys.readouterr().out
    assert_resumes_as_unbroken(command, tmp_path)


def test_other_frames_than_before_are_told(camvid, tmp_path, capsys):
    command = small_run(camvid, tmp_path, run__max_minutes=1e-7)
    assert main(command) == 0
    assert main([*command, "--resume"]) == 0
    assert "other frames" not in capsys.readouterr().out
    moved = torch.load(last := tmp_path / "camvid" / "last.ckpt", weights_only=True)
    moved["card"]["training"]["splits"][0]["frames"] -= 1
    torch.save(moved, last)
    assert main([*command, "--resume"]) == 0
    told = capsys.readouterr().out
    frames = moved["card"]["training"]["splits"][0]["frames"]
    assert f"the data are not those that the run had before: 'train' had {frames} frames and has {frames + 1}; " in told


def test_a_run_that_was_killed_ends_with_the_same_weights_when_resumed(camvid, tmp_path):
    overrides = {"run__iterations": 16, "run__validate_every": 4}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command, last = small_run(camvid, tmp_path / "ended", **overrides), tmp_path / "ended" / "camvid" / "last.ckpt"
    process = subprocess.Popen([sys.executable, "-m", "bisenet_ros.cli", *command])
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert 0 < checkpoint(tmp_path / "ended")["global_step"] < 16
    assert_resumes_as_unbroken(command, tmp_path)


def assert_resumes_as_unbroken(command: List[str], folder: Path) -> None:
    assert main([*command, "--resume"]) == 0
    whole, resumed = checkpoint(folder / "whole"), checkpoint(folder / "ended")
    assert resumed["global_step"] == whole["global_step"] and same_weights(whole, resumed)
    assert resumed["card"]["scores"] == whole["card"]["scores"] and resumed["card"]["training"]["earlier_runs"] == []
    assert resumed["card"]["training"]["images_seen"] == whole["card"]["training"]["images_seen"]
    best = [checkpoint(folder / run, "best") for run in ("whole", "ended")]
    assert best[0]["card"]["scores"] == best[1]["card"]["scores"] and same_weights(*best)


def test_a_run_that_ctrl_c_ends_says_so(camvid, tmp_path, signal_at, capsys):
    signal_at(signal.SIGINT, 3)
    assert main(small_run(camvid, tmp_path)) == 130
    assert "stopped at iteration 2, by the keyboard; the same command with" in capsys.readouterr().out


def test_sigterm_between_validations_saves_the_portable_checkpoint_too(camvid, tmp_path, signal_at):
    signal_at(signal.SIGTERM, 3)
    small = tmp_path / "small.pt"
    assert main([*small_run(camvid, tmp_path), "--save-weights", str(small)]) == 143
    assert torch.load(small, weights_only=True)["global_step"] == checkpoint(tmp_path)["global_step"] == 3


def test_runs_that_the_time_limit_ends_and_a_resumed_one_have_the_weights_of_an_unbroken_one(camvid, tmp_path, capsys):
    """A limit of 6 microseconds ends each run after one iteration."""
    overrides = {"run__iterations": 4, "run__validate_every": 2, "optimizer__average_decay": 0.9}
    assert main(small_run(camvid, tmp_path / "whole", **overrides)) == 0
    command = small_run(camvid, tmp_path / "limited", run__max_minutes=1e-7, **overrides)
    capsys.readouterr()
    steps, scored = [], []
    for resume in ([], *[["--resume"]] * 3):
        assert main([*command, *resume]) == 0
        scored.append(checkpoint(tmp_path / "limited")["card"]["scores"].get("iteration"))
        stopped = f"stopped at iteration {len(steps) + 1}, as run.max_minutes is over; the same command with --resume"
        assert (stopped in capsys.readouterr().out) == (len(steps) < 3)
        steps.append(checkpoint(tmp_path / "limited")["global_step"])
    assert steps == [1, 2, 3, 4] and scored == [None, 2, 2, 4]
    assert main([*command, "--resume"]) == 1 and "the run is finished" in capsys.readouterr().err
    for name in ("last", "best"):
        whole, limited = checkpoint(tmp_path / "whole", name), checkpoint(tmp_path / "limited", name)
        assert whole["global_step"] == limited["global_step"] and same_weights(whole, limited)
        assert whole["card"]["scores"] == limited["card"]["scores"]
    validations = logged(tmp_path / "limited", "val_miou")
    assert validations == logged(tmp_path / "whole", "val_miou") and len(validations) == 2, "when due, and no more"


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


@pytest.mark.parametrize("val_split, average_decay", [("val", 0.0), ("val", 0.9), ("null", 0.0)])
def test_a_run_goes_on_elsewhere_from_its_portable_checkpoint(
    camvid, tmp_path, monkeypatch, capsys, val_split, average_decay
):
    weights, written = tmp_path / "weights.pt", []

    def write(path: Path, data: bytes, *, durable: bool) -> None:
        assert durable, "the power may fail"
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
    assert [part["portable"] for part in resumed["card"]["training"]["earlier_runs"]] == [True]
    assert [part["until"] for part in resumed["card"]["training"]["earlier_runs"]] == [4]
    assert resumed["state_dict"]["network.head.classifier.weight"].dtype == torch.float32
    assert len(logged(tmp_path / "there", "val_miou")) == (1 if val_split == "val" else 0)


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
        assert "is a checkpoint of this run, or what it starts or goes on from" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*small_run(camvid, tmp_path), "--resume", "--resume-from", "weights.pt"])
    assert "not allowed with argument --resume" in capsys.readouterr().err


def test_a_portable_checkpoint_may_be_replaced_by_the_run_that_goes_on_from_it_and_a_whole_one_not(
    camvid, tmp_path, capsys
):
    portable = tmp_path / "weights.pt"
    assert main([*small_run(camvid, tmp_path), "--save-weights", str(portable)]) == 0
    assert main(small_run(camvid, tmp_path / "plain", run__iterations=2, optimizer__momentum=0)) == 0
    whole = tmp_path / "plain" / "camvid" / "last.ckpt"
    before = whole.read_bytes()
    there = small_run(camvid, tmp_path / "there", run__iterations=6, optimizer__momentum=0)
    assert main([*there, "--resume-from", str(whole), "--save-weights", str(whole)]) == 1
    assert f"{whole} is a checkpoint of this run, or what it starts or goes on from" in capsys.readouterr().err
    assert whole.read_bytes() == before
    there = small_run(camvid, tmp_path / "there", run__iterations=6, run__max_minutes=1e-7)
    assert main([*there, "--resume-from", str(portable)]) == 0
    told = "the same command with --resume in place of --resume-from goes on from"
    assert f"stopped at iteration 5, as run.max_minutes is over; {told}" in capsys.readouterr().out
    there = small_run(camvid, tmp_path / "elsewhere", run__iterations=6)
    assert main([*there, "--resume-from", str(portable), "--save-weights", str(portable)]) == 0
    assert torch.load(portable, weights_only=True)["global_step"] == 6


def test_a_run_does_not_go_on_with_other_classes(camvid, tmp_path, capsys):
    """As after a data set was made again under its old name: with its classes in another order, or one more."""
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
    scores = dict(zip((2, 4), logged(tmp_path, "val_miou")))
    assert last["global_step"] == 4 and scores[best["global_step"]] == max(scores.values())
    assert best["card"]["scores"]["val_miou"] == pytest.approx(max(scores.values()))
