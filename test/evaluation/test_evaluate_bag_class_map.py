# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet evaluate-bag --class-map`: masks, ground truth and scores of class groups."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from camvid_classes import CAMVID

from bisenet_ros.bags.bag_images import read_masks
from bisenet_ros.cli import main
from bisenet_ros.engines import load_engine
from bisenet_ros.evaluation import bag_evaluation
from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix
from bisenet_ros.evaluation.report import bag_report
from bisenet_ros.model.class_groups import UNLISTED, read_class_groups
from bisenet_ros.model.class_map import IGNORE
from demo.clip import frame_ids, read_ground_truth, read_image

GROUPS = """\
classes:
  - {name: ground, color: [0, 160, 80], of: [road, sidewalk]}
  - {name: vehicle, color: [0, 0, 200], of: [car]}
"""
NETWORK_SIZE = "320x240"
OTHER = GROUPS + "  - {name: other, color: [90, 90, 90]}\nunlisted: other\n"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Three frames of the demo's clip with their ground truth, in the bag and as files."""
    folder = tmp_path_factory.mktemp("clip")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for frame_id in frame_ids()[:30:10]:
        cv2.imwrite(str(folder / "images" / f"{frame_id}.png"), read_image(frame_id))
        cv2.imwrite(str(folder / "labels" / f"{frame_id}.png"), read_ground_truth(frame_id))
    sources = [str(folder / "images"), "--labels", str(folder / "labels"), "--export-labels", str(folder / "truth")]
    assert main(["make-bag", *sources, "-o", str(folder / "bag")]) == 0
    return folder / "bag"


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """The page's figures take seconds, and nobody looks at them here."""
    monkeypatch.setattr(bag_report, "write_bag_page", lambda *_: None)


@pytest.fixture
def evaluate(tmp_path, bag, shipped_model):
    def run(groups, *options, name="out", code=0):
        class_map = tmp_path / "groups.yaml"
        class_map.write_text(groups)
        arguments = ["evaluate-bag", str(bag), "--model", str(shipped_model), "--device", "cpu", "--precision", "fp32"]
        arguments += [
            "--class-map",
            str(class_map),
            "-o",
            str(tmp_path / name),
            *options,
            "--network-size",
            NETWORK_SIZE,
        ]
        arguments += ["--topic", "/camera/image_raw"]
        assert main(arguments) == code
        return tmp_path / name

    return run


@pytest.mark.parametrize("groups", (GROUPS, OTHER), ids=("left out", "other"))
def test_scores_are_those_of_the_groups(tmp_path, bag, shipped_model, evaluate, groups):
    out = evaluate(groups, "--ground-truth", str(bag.parent / "truth"))
    report = json.loads((out / "report.json").read_text())
    names = ["ground", "vehicle", UNLISTED if groups == GROUPS else "other"]
    assert [entry["name"] for entry in report["classes"]] == names
    assert "class map groups.yaml" in report["engine"]

    options = {"network_size": NETWORK_SIZE, "class_map": tmp_path / "groups.yaml"}
    engine = load_engine(shipped_model, device="cpu", precision="fp32", **options)
    ids = read_class_groups(tmp_path / "groups.yaml").fit(CAMVID).ids
    confusion = np.zeros((3, 3), np.int64)
    for frame_id, (_, written) in zip(frame_ids()[:30:10], read_masks(out / "masks", "/segmentation/mask")):
        mask = engine.segment(read_image(frame_id))
        assert np.array_equal(written, mask) and (IGNORE in mask) == (groups == GROUPS)
        mask[mask == IGNORE] = 2
        confusion += confusion_matrix(ids[read_ground_truth(frame_id)], mask, classes=3)
    assert report["confusion"] == confusion.tolist() and confusion.sum() > 3 * 360 * 480 * 0.8
    assert list(report["iou"].values()) == pytest.approx(class_iou(confusion), abs=1e-4)
    assert report["iou"]["ground"] > 0.9

    if groups == OTHER:
        return
    in_bag = evaluate(groups, "--truth-topic", "/camera/labels", name="in_bag")
    assert json.loads((in_bag / "report.json").read_text())["confusion"] == report["confusion"]
    assert main(["compare", str(out), str(in_bag)]) == 0


def test_another_class_map_is_another_run(tmp_path, evaluate, capsys):
    out = evaluate(GROUPS)
    evaluate(OTHER, code=1)
    assert f"{out} is of a run with other inputs (class map: " in capsys.readouterr().err


def test_workers_that_stay_take_the_class_map_as_it_is_now(evaluate, monkeypatch):
    """As those of a Dask cluster, which keep an engine for the next run."""
    with ThreadPoolExecutor(1) as workers:
        monkeypatch.setattr(bag_evaluation, "open_executor", lambda **_: nullcontext(workers))
        title, ground, vehicle = GROUPS.splitlines()
        first, second = (
            evaluate(groups, "--dask", "tcp://workers", name=name)
            for name, groups in (("first", GROUPS), ("second", f"{title}\n{vehicle}\n{ground}\n"))
        )
    swapped = np.array([1, 0, *range(2, 256)], np.uint8)
    masks = [[mask for _, mask in read_masks(out / "masks", "/segmentation/mask")] for out in (first, second)]
    assert all(np.array_equal(swapped[before], now) and (now == 1).any() for before, now in zip(*masks))


def test_a_class_map_that_does_not_fit_makes_nothing(tmp_path, evaluate, capsys):
    out = evaluate(GROUPS + "  - {name: a, color: [1, 2, 3], of: [lawn]}\n", code=1)
    assert "the model has no class 'lawn'" in capsys.readouterr().err and not out.exists()
    assert not out.with_name("out.partial").exists()
