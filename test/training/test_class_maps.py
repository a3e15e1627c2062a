# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Class maps of data sets: those that are installed, what they make of label files, and scores by common classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Dict, List

import cv2
import numpy as np
import pytest
import torch
from bisenet_training.analysis.common_classes import merge_to_common
from bisenet_training.analysis.evaluation import evaluate
from bisenet_training.analysis.torch_engine import open_engine, read_classes
from bisenet_training.data.description import Description
from bisenet_training.data.find_dataset import (
    CLASS_MAPS,
    DATASETS,
    find_class_map,
    find_dataset,
    ignored_classes,
    open_dataset,
)
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError
from camvid_classes import CAMVID
from small_camvid import write_small_camvid

from bisenet_ros.cli import main
from bisenet_ros.model.class_groups import UNLISTED
from bisenet_ros.model.class_map import IGNORE, ClassMapError
from bisenet_ros.network import BiSeNetV2
from demo.clip import frame_ids

CITYSCAPES = find_dataset("cityscapes").classes
FRAMES = frame_ids()[::25][:3]
SIZE = (96, 128)


@pytest.mark.parametrize("name", CLASS_MAPS)
def test_an_installed_class_map_is_of_a_data_set_to_cityscapes_and_cites_its_source(name):
    dataset, target = name.split("_to_")
    assert target == "cityscapes" and dataset in DATASETS
    assert find_dataset(dataset, class_map=name).classes == CITYSCAPES
    head = CLASS_MAPS[name].read_text().split("\nclasses:")[0]
    assert all(line.startswith("# ") for line in head.splitlines()) and (
        "http" in head or "_to_cityscapes.yaml" in head
    )


@pytest.mark.parametrize(
    "dataset, mapped, ignored",
    [
        (
            "mapillary_vistas_1_2",
            {"Lane Marking - General": "road", "Curb": "sidewalk", "Motorcyclist": "rider", "On Rails": "train"},
            ["Bridge", "Ego Vehicle", "Guard Rail", "Trailer", "Street Light"],
        ),
        (
            "mapillary_vistas_2_0",
            {"Lane Marking (only) - Text": "road", "Traffic Light - Cyclists": "traffic light", "Pole Group": "pole"},
            ["Road Shoulder", "Garage", "Signage - Store", "Vehicle Group"],
        ),
        (
            "idd",
            {"person / animal": "person", "pole / polegroup": "pole", "bus": "bus"},
            ["autorickshaw", "parking / drivable fallback", "caravan / trailer / train / vehicle fallback"],
        ),
        ("a2d2", {"RD normal street": "road", "Nature object": "vegetation"}, ["Small vehicles", "Ego car"]),
        ("camvid", {"tree": "vegetation", "pedestrian": "person", "signsymbol": "traffic sign"}, ["bicyclist"]),
    ],
)
def test_classes_become_those_of_the_published_tables(dataset, mapped, ignored):
    plain, merged = find_dataset(dataset), find_dataset(dataset, class_map=f"{dataset}_to_cityscapes")

    def group(name: str) -> str | None:
        class_id = plain.classes.names.index(name)
        (found,) = {merged.encoding.train_ids[v] for v, i in plain.encoding.train_ids.items() if i == class_id}
        return None if found == IGNORE else CITYSCAPES.names[found]

    assert {name: group(name) for name in mapped} == mapped
    assert [name for name in ignored if group(name)] == []


def test_cityscapes_and_what_was_made_for_it_have_the_same_classes():
    datasets = ("cityscapes", "bdd100k", "kitti_semantics")
    assert all(find_dataset(dataset).classes == CITYSCAPES for dataset in datasets)


YARD = """\
images: images/{split}/{name}.png
labels: labels/{split}/{name}.png
encoding: colors
ignore: [[0, 0, 0]]
classes:
  - {name: lawn, color: [0, 128, 0], values: [[0, 128, 0], [0, 64, 0]]}
  - {name: path, color: [128, 64, 128]}
  - {name: hedge, color: [10, 20, 30]}
"""


def yard(folder: Path) -> Path:
    """A data set of one frame: a pixel of each color of `YARD`."""
    (folder / "yard.yaml").write_text(YARD)
    colors = [(0, 0, 0), (0, 128, 0), (0, 64, 0), (128, 64, 128), (10, 20, 30)]
    for kind in ("images", "labels"):
        (folder / kind / "val").mkdir(parents=True)
        cv2.imwrite(str(folder / kind / "val" / "1.png"), np.array([colors], np.uint8)[..., ::-1])
    return folder / "yard.yaml"


def class_map(folder: Path, text: str) -> str:
    path = folder / "map.yaml"
    path.write_text(f"classes:\n{text}")
    return str(path)


PASSABLE = """\
  - {name: obstacle, color: [1, 2, 3], optional: [wall]}
  - {name: passable, color: [4, 5, 6], of: [path, lawn]}
"""


def test_merged_targets_have_the_groups_and_ignore_what_is_left_out(tmp_path):
    path = yard(tmp_path)
    merged = open_dataset(str(path), root=tmp_path, class_map=class_map(tmp_path, PASSABLE))
    assert merged.classes.names == ["obstacle", "passable"] and merged.labeled == [1]
    assert merged[0][1].tolist() == [[255, 1, 1, 1, 255]]
    everything = class_map(tmp_path, PASSABLE + "unlisted: obstacle\n")
    assert open_dataset(str(path), root=tmp_path, class_map=everything)[0][1].tolist() == [[255, 1, 1, 1, 0]]
    assert open_dataset(str(path), root=tmp_path)[0][1].tolist() == [[255, 0, 0, 1, 2]]


def test_check_dataset_shows_the_merged_classes(tmp_path, capsys):
    path = yard(tmp_path)
    command = ["check-dataset", str(path), "--root", str(tmp_path), "--split", "val"]
    assert main([*command, "--class-map", class_map(tmp_path, PASSABLE)]) == 0
    printed = capsys.readouterr().out
    assert "passable   60.00%" in printed and "unlabeled  40.00%" in printed
    assert "classes that the data set does not label: obstacle\n" in printed and "never occur" not in printed
    assert "the class map leaves out, and so training and scores ignore: hedge\n" in printed


@pytest.mark.parametrize(
    "groups, message",
    [
        (
            "  - {name: a, color: [1, 2, 3], of: [road]}",
            "yard.yaml has no class 'road', which group 'a' is of; its classes",
        ),
        ("  - {name: a, color: [1, 2, 3], of: [path, path]}", "the class 'path' is named twice, for 'a' and 'a'"),
        ("  - {name: a, color: [1, 2, 3], of: [path], optional: [path]}", "the class 'path' is named twice"),
        ("  - {name: a, color: [1, 2, 3], optional: [road]}", "yard.yaml has none of the classes that are named"),
        ("  - {name: a, color: [1, 2, 3]}", "the group 'a' names no class"),
    ],
)
def test_a_class_map_that_does_not_fit_the_data_set(tmp_path, groups, message):
    path = yard(tmp_path)
    with pytest.raises(ClassMapError, match=message):
        open_dataset(str(path), root=tmp_path, class_map=class_map(tmp_path, groups))


def test_a_class_map_that_is_not_there(tmp_path, capsys):
    with pytest.raises(DataError, match="expected a class map of a2d2_to_cityscapes, .*, got 'no_such_map'"):
        find_dataset("camvid", class_map="no_such_map")
    command = ["check-dataset", "camvid", "--root", str(tmp_path), "--class-map", str(tmp_path / "none.yaml")]
    assert main(command) == 1 and f"at {tmp_path / 'none.yaml'}, there is no such file" in capsys.readouterr().err


@pytest.fixture(scope="module")
def camvid(tmp_path_factory) -> Path:
    """Three small frames of the clip in CamVid's layout."""
    return write_small_camvid(tmp_path_factory.mktemp("camvid"), FRAMES, size=SIZE)


@pytest.fixture(scope="module")
def models(tmp_path_factory, card, camvid) -> Dict[str, Path]:
    """A random network of CamVid's classes whose batch norms have seen the frames, as checkpoint and as model file."""
    options = {"classes": len(CAMVID), "width": 0.25, "head_width": 16}
    torch.manual_seed(0)
    network = BiSeNetV2(**options).train()
    dataset = open_dataset("camvid", root=camvid)
    frames = np.stack([dataset[i][0] for i in range(len(dataset))]).transpose(0, 3, 1, 2)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # the statistics are those of these frames
    with torch.no_grad():
        network(torch.from_numpy(frames / np.float32(128) - 1))
    path = tmp_path_factory.mktemp("models") / "camvid.ckpt"
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"network": options, "card": card.to_dict(), "state_dict": state}, path)
    assert main(["export", str(path), "-o", str(path.with_suffix(".onnx"))]) == 0
    return {"checkpoint": path, "model file": path.with_suffix(".onnx")}


def common(dataset: Description, model: Path, chosen: Path) -> tuple[Description, List[int]]:
    return merge_to_common(dataset, read_classes(model), model_map=chosen, dataset_map=chosen, what="the data set")


def test_a_model_is_scored_by_the_classes_that_it_has_in_common_with_a_data_set(models, camvid):
    """Of a merged confusion matrix: what the model takes for a class that is not common is wrong."""
    chosen = find_class_map("camvid_to_cityscapes")
    model = models["model file"]
    description, scored = common(find_dataset("camvid"), model, chosen)
    found = evaluate(
        open_engine(model, device="cpu", class_map=chosen),
        SegmentationDataset(description, camvid, "val"),
        scored=scored,
    )
    missing = ("wall", "traffic light", "terrain", "rider", "truck", "bus", "train", "motorcycle", "bicycle")
    assert found.classes.names == [*CITYSCAPES.names, UNLISTED]
    assert [CITYSCAPES.names[i] for i in range(19) if i not in scored] == list(missing)
    rows = found.confusion.sum(axis=1)
    assert not rows[[i for i in range(20) if i not in scored]].any() and rows[scored].any()
    assert found.confusion[:, -1].sum() > 0, "pixels that are taken for bicyclists"
    iou = found.iou
    assert all(np.isnan(iou[name]) for name in (*missing, UNLISTED))
    assert found.miou == pytest.approx(np.nanmean(list(iou.values())))
    assert found.protocol["scored classes"].startswith("the 10 of 19 that model and data set have: road, sidewalk")
    labeled = np.mean([open_dataset("camvid", root=camvid)[i][1] < 10 for i in range(len(FRAMES))])
    assert found.protocol["scored pixels"].startswith(f"{labeled:.1%} of all")


def test_a_checkpoint_is_merged_as_its_model_file(models, camvid):
    chosen = find_class_map("camvid_to_cityscapes")
    dataset = open_dataset("camvid", root=camvid)
    engines = [open_engine(path, device="cpu", class_map=chosen) for path in models.values()]
    masks = [np.stack([engine.segment(dataset[i][0]) for i in range(len(dataset))]) for engine in engines]
    assert len(np.unique(masks[0])) > 4 and 255 in masks[0]
    assert np.mean(masks[0] != masks[1]) < 1e-3


def test_model_and_data_set_may_have_a_class_map_each(models, tmp_path):
    """CamVid's model on IDD's frames, both as Cityscapes' classes."""
    files = {"model_map": find_class_map("camvid_to_cityscapes"), "dataset_map": find_class_map("idd_to_cityscapes")}
    classes = read_classes(models["checkpoint"])
    description, scored = merge_to_common(find_dataset("idd"), classes, **files, what="IDD")
    assert description.classes == CITYSCAPES and len(scored) == 10
    assert ignored_classes(find_dataset("idd"), description)[:3] == [
        "parking / drivable fallback",
        "rail track / non-drivable fallback",
        "rider",
    ]
    files["dataset_map"] = Path(class_map(tmp_path, "  - {name: a, color: [1, 2, 3], of: [road]}"))
    with pytest.raises(ClassMapError, match="must have the same groups in the same order, got road, .* and a$"):
        merge_to_common(find_dataset("idd"), classes, **files, what="IDD")


def test_a_side_that_has_the_groups_already_stays_as_it_is(models):
    chosen = find_class_map("camvid_to_cityscapes")
    description, scored = common(find_dataset("cityscapes"), models["model file"], chosen)
    assert len(scored) == 10 and description.classes == CITYSCAPES
    assert {*description.encoding.train_ids.values()} == {*scored, IGNORE}


def test_the_command_scores_by_common_classes(models, camvid, tmp_path, capsys):
    command = ["evaluate", str(models["checkpoint"]), "--data", "camvid", "--root", str(camvid), "--device", "cpu"]
    command += ["--class-map", "camvid_to_cityscapes"]
    assert main([*command, "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "vegetation" in printed and "terrain" not in printed and "scored classes: the 10 of 19" in printed
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["iou"]["terrain"] is None and f"mIoU {100 * scores['miou']:.2f} %" in printed
    assert "masks have the class, or it is not scored." in (tmp_path / "report.html").read_text()
    assert main([*command, "camvid_to_cityscapes", "--split", "val", "--json", str(tmp_path / "both.json")]) == 0
    assert json.loads((tmp_path / "both.json").read_text())["miou"] == scores["miou"]
    assert main([*command, "camvid_to_cityscapes", "idd_to_cityscapes"]) == 1
    assert "--class-map takes one for both, or the model's and the data set's, got 3" in capsys.readouterr().err
    assert main([*command, "--predictions", str(tmp_path / "masks")]) == 1
    assert "leave --class-map out" in capsys.readouterr().err


def test_nothing_in_common(models, tmp_path):
    path = Path(
        class_map(
            tmp_path,
            "  - {name: a, color: [1, 2, 3], optional: [road]}\n  - {name: b, color: [1, 2, 4], optional: [lawn]}",
        )
    )
    (tmp_path / "yard.yaml").write_text(YARD)
    with pytest.raises(ClassMapError, match="the model and the data set have no group in common"):
        common(find_dataset(str(tmp_path / "yard.yaml")), models["model file"], path)


def test_classes_that_are_the_groups_already_stay_as_they_are(tmp_path):
    path = yard(tmp_path)
    path.write_text(YARD.replace("lawn", "obstacle").replace("path", "passable").replace("hedge", "other"))
    groups = PASSABLE + "  - {name: other, color: [7, 8, 9], optional: [hedge]}"
    merged = find_dataset(str(path), class_map=class_map(tmp_path, groups))
    assert merged.encoding.train_ids == find_dataset(str(path)).encoding.train_ids
