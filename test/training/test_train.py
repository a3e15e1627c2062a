# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Training runs: real short ones on frames of the clip, their results, and what they refuse."""

from __future__ import annotations

import os
import re
from types import SimpleNamespace
from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
import torch
import yaml
from bisenet_training.commands.train import DIVERGED
from bisenet_training.trainer import progress_report
from camvid_classes import CAMVID
from small_camvid import write_small_camvid
from training_runs import checkpoint, logged, small_run

from bisenet_ros.benchmark.machine import describe_cpu
from bisenet_ros.cli import main
from bisenet_ros.files.atomic_write import partial_of
from bisenet_ros.files.folder_lock import lock_folder
from bisenet_ros.model.model_card import read_card
from bisenet_ros.network.checkpoint import load_checkpoint
from demo.clip import FOLDER, frame_ids


def test_a_short_run_learns_reports_and_exports(camvid, tmp_path):
    assert main(small_run(camvid, tmp_path, run__iterations=40, run__validate_every=20)) == 0
    last = checkpoint(tmp_path)
    assert last["global_step"] == 40 and last["card"]["scores"]["iteration"] == 40
    losses = logged(tmp_path, "loss")
    assert np.mean(losses[-2:]) < 0.9 * losses[0], losses
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


def test_a_data_set_of_one_class_is_refused(camvid, tmp_path, capsys):
    classes = [{"name": "all", "values": [0, 1]}]
    (tmp_path / "yard.yaml").write_text(yaml.safe_dump({"base": "camvid", "classes": classes}))
    assert main(small_run(camvid, tmp_path, data__dataset=tmp_path / "yard.yaml")) == 1
    assert "expected two classes or more, got all alone; make all else a class" in capsys.readouterr().err


def test_scores_of_frames_that_are_trained_on_and_scales_that_are_not_are_told(camvid, tmp_path, capsys):
    words = "3 of the 3 frames of data.val_split 'val' are in data.train_split too"
    assert main(small_run(camvid, tmp_path / "apart", run__iterations=2)) == 0
    printed = capsys.readouterr().out
    assert words not in printed
    assert "7 of the 7 frames of 'train' are segmented at a scale that is not trained: at 0.27 of" in printed
    assert main(small_run(camvid, tmp_path / "both", run__iterations=2, data__train_split="train+val")) == 0
    assert words in capsys.readouterr().out


def test_what_is_odd_in_the_data_is_told_before_hours_of_training(tmp_path, capsys):
    (tmp_path / "own").mkdir()
    own = write_small_camvid(tmp_path / "own", frame_ids()[:2], size=(96, 128))
    for path in (own / "labels").iterdir():
        ids = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        ids[ids == CAMVID.names.index("car")] = 255
        cv2.imwrite(str(path), ids)
    splits = {"data__train_split": "val", "run__batch_size": 2}
    assert main(small_run(own, tmp_path, run__iterations=2, **splits)) == 0
    told = capsys.readouterr().out
    assert re.search("split 'val': classes that never occur: .*car", told), told


def test_a_learning_rate_that_another_run_goes_on_with_is_told(camvid, tmp_path, capsys):
    assert main(small_run(camvid, tmp_path, optimizer__poly_end=0.2, run__iterations=2)) == 0
    words = "the learning rate ends at 23% of the recipe's, by optimizer.poly_end: the rest of the schedule is for"
    assert words in capsys.readouterr().out


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
    assert "not finite" in error and f"the last good checkpoint is {last}" in error
    good = torch.load(last, weights_only=True)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in good.values())


def test_without_a_validation_split_the_last_weights_are_the_result(camvid, tmp_path):
    assert main(small_run(camvid, tmp_path, data__train_split="train+val", data__val_split="null")) == 0
    assert checkpoint(tmp_path)["global_step"] == 4 and checkpoint(tmp_path)["card"]["scores"] == {}
    assert not (tmp_path / "camvid" / "best.ckpt").exists()
    load_checkpoint(tmp_path / "camvid" / "last.ckpt")


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
    left = partial_of(tmp_path / "camvid" / "last.ckpt")
    left.write_bytes(b"of a killed run")
    assert main(small_run(camvid, tmp_path)) == 0
    assert not left.exists()


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
    recipe = SimpleNamespace(
        run=SimpleNamespace(validate_every=1, batch_size=2),
        data=SimpleNamespace(scored=[]),
        optimizer=SimpleNamespace(warmup_iterations=0),
    )
    trainer, module = MagicMock(callback_metrics={"loss": 1.0}, global_step=1, max_steps=2), MagicMock(recipe=recipe)
    report = progress_report.ProgressReport(tmp_path)
    report.on_train_start(trainer, module)
    for index in range(2):
        clock.now += 1000
        report.on_train_batch_start(trainer, module, None, index)
        clock.now += 4
        report.on_train_batch_end(trainer, module, None, None, index)
        assert report.rates["images_per_second"] == 0.5


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
