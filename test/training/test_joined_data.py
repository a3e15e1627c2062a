# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Several data sets in one run: lists in recipes, frames drawn by weight, scores per set, resuming, what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, List

import cv2
import numpy as np
import pytest
import torch
from bisenet_training.data.dataset_check import inspect
from bisenet_training.data.find_dataset import open_dataset
from bisenet_training.data.loading import Draw, SeededBatches
from bisenet_training.trainer.module import set_names
from bisenet_training.trainer.recipe import DataSetRecipe, without_places
from bisenet_training.trainer.recipe_file import load_recipe
from bisenet_training.trainer.run_data import class_shares, open_data

from bisenet_ros.cli import main
from bisenet_ros.errors import BisenetError
from demo.clip import FOLDER, frame_ids

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
YARD = """\
images: images/{split}/{name}.png
labels: labels/{split}/{name}.png
encoding: colors
classes:
  - {name: gravel, color: [128, 64, 128]}
  - {name: hedge, color: [0, 128, 0]}
  - {name: tool, color: [9, 9, 9]}
"""
GROUPS = """\
classes:
  - {name: drivable, color: [0, 160, 80], optional: [road, gravel]}
  - {name: green, color: [0, 200, 0], optional: [tree, hedge]}
  - {name: vehicle, color: [0, 60, 200], optional: [car]}
"""
RECIPE = """\
base: {base}
name: joined
data:
  - {{root: {clip}, class_map: {groups}, weight: 3}}
  - {{dataset: {yard}, root: {folder}, class_map: {groups}, network_size: [96, 128]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two data sets: a few frames of the clip, and a yard with classes by color; the class map and a recipe of both."""
    folder = tmp_path_factory.mktemp("joined")
    clip = folder / "clip"
    clip.mkdir()
    for name in ("images", "labels"):
        (clip / name).symlink_to(FOLDER / name)
    (clip / "train.txt").write_text("\n".join(frame_ids()[:4]))
    (clip / "val.txt").write_text("\n".join(frame_ids()[50:52]))
    write_yard(folder)
    (folder / "groups.yaml").write_text(GROUPS)
    places = {"base": RECIPES / "camvid.yaml", "clip": clip, "folder": folder, "yard": folder / "yard.yaml"}
    (folder / "joined.yaml").write_text(RECIPE.format(**places, groups=folder / "groups.yaml"))
    return folder


def write_yard(folder: Path) -> None:
    (folder / "yard.yaml").write_text(YARD)
    rng = np.random.default_rng(0)
    for split, names in (("train", "123"), ("val", "45")):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for name in names:
            colors = np.array([(128, 64, 128), (0, 128, 0), (9, 9, 9)], np.uint8)[rng.integers(0, 3, (12, 16))]
            label_file = colors.repeat(8, axis=0).repeat(8, axis=1)[..., ::-1]
            cv2.imwrite(str(folder / "labels" / split / f"{name}.png"), label_file)
            cv2.imwrite(str(folder / "images" / split / f"{name}.png"), cv2.blur(label_file, (5, 5)))


def command(folder: Path, output: Path, *overrides: str, recipe: str = "joined") -> List[str]:
    """A short run: two iterations of four crops, then scored."""
    entries = ["augmentation.crop=[64,96]", "augmentation.frame_size=[96,128]", "network.width=0.25"]
    entries += ["network.head_width=16", "run.batch_size=4", "run.workers=0", "run.precision=32-true"]
    entries += ["run.iterations=2", "run.validate_every=2", "loss.class_balance=0.5", *overrides]
    return ["train", str(folder / f"{recipe}.yaml"), *entries, "-o", str(output)]


def checkpoint(output: Path, name: str = "last") -> Dict[str, Any]:
    return torch.load(output / "joined" / f"{name}.ckpt", weights_only=True)


def test_a_list_of_data_sets_has_the_entries_of_the_base_and_its_own(folder):
    recipe = load_recipe(folder / "joined.yaml", ["data.1.weight=0.5", "data.mean=[0.1,0.2,0.3]"])
    clip, yard = recipe.data.sets
    assert (clip.dataset, clip.train_split, clip.weight) == ("camvid", "train", 3)
    assert (yard.dataset, yard.val_split, yard.weight) == (str(folder / "yard.yaml"), "val", 0.5)
    assert recipe.data.mean == [0.1, 0.2, 0.3]
    assert recipe.data.network_size == [96, 128], "one of the list says so, and not the base"
    stored = without_places(recipe)["data"]
    assert [entry["class_map"] for entry in stored] == ["groups.yaml"] * 2
    assert [entry["dataset"] for entry in stored] == ["camvid", "yard.yaml"] and str(folder) not in str(stored)
    assert stored[1]["weight"] == 0.5 and stored[0]["mean"] == [0.1, 0.2, 0.3]


def test_a_run_tells_which_split_does_not_fit_into_the_cache(folder, capsys):
    """The clip's four frames of 480x360 take 2.8 MB, the yard's three of 128x96 0.15 MB; each has a fourth of 4 MB."""
    joined = folder / "joined.yaml"
    open_data(load_recipe(joined, ["run.cache_gigabytes=0.004"]), processes=2)
    printed = capsys.readouterr().out
    assert printed.count("decoded each time") == 2, "and the clip's two frames that are scored"
    assert "split 'train' takes 0.0 GB decoded, and its part of run.cache_gigabytes is 0.0: 1 of its 4" in printed
    assert "run.cache_gigabytes=1 would keep all" in printed
    for gigabytes in (0, 1):
        open_data(load_recipe(joined, [f"run.cache_gigabytes={gigabytes}"]), processes=2)
        assert "decoded each time" not in capsys.readouterr().out


def test_one_data_set_is_stored_as_it_was_before_there_were_several():
    recipe = load_recipe(RECIPES / "camvid.yaml", ["data.root=/nowhere"])
    assert list(without_places(recipe)["data"]) == [
        "dataset",
        "train_split",
        "val_split",
        "mean",
        "std",
        "network_size",
    ]
    listed = load_recipe(RECIPES / "camvid.yaml", ["data.root=/nowhere", "data.class_map=camvid_to_cityscapes"])
    assert without_places(listed)["data"]["class_map"] == "camvid_to_cityscapes"


@pytest.mark.parametrize("text", ["data: {root: x}", "data: [{root: x}]"])
def test_one_data_set_is_a_list_of_one(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"base: {RECIPES / 'camvid.yaml'}\nname: recipe\n{text}")
    for override in ("data.root=y", "data.0.root=y"):
        (entry,) = load_recipe(path, [override]).data.sets
        assert (entry.dataset, entry.root) == ("camvid", "y")


def test_a_recipe_changes_the_data_sets_of_its_base_together_or_states_its_own(tmp_path):
    base, together, own = (tmp_path / f"{name}.yaml" for name in ("base", "together", "own"))
    base.write_text(
        f"base: {RECIPES / 'camvid.yaml'}\nname: base\ndata: [{{root: x}}, {{root: y, mean: [0.1, 0.2, 0.3]}}]"
    )
    together.write_text("base: base.yaml\nname: together\ndata: {train_split: train+val}")
    own.write_text("base: base.yaml\nname: own\ndata: [{dataset: idd, root: z, train_split: train, val_split: val}]")
    sets = load_recipe(together).data.sets
    assert [(entry.root, entry.train_split) for entry in sets] == [("x", "train+val"), ("y", "train+val")]
    data = load_recipe(own).data
    assert [entry.dataset for entry in data.sets] == ["idd"] and data.mean == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "text, overrides, message",
    [
        ("data: []", [], r"data must be the entries of a data set, or a list of such, got an empty list"),
        ("data: [camvid]", [], r"data must be the entries of a data set, or a list of such, got 'camvid'"),
        (
            "data: [{}, {}]",
            [],
            r"data\.0\.root, data\.1\.root missing; give each on the command line, as data\.0\.root=",
        ),
        (
            "data: [{root: x, weight: 0}, {root: x}]",
            [],
            r"data\.0\.weight must be above 0; leave out a set .*, got '0'",
        ),
        ("data: [{root: x}, {root: x, weight: -1}]", [], r"data\.1\.weight must be above 0"),
        (
            "data: [{root: x}, {root: x, weight: 1e308}]",
            [],
            r"data\.1\.weight must be less than or equal to 1000000, got '1e308'",
        ),
        (
            "data: [{root: x, wieght: 2}, {root: x}]",
            [],
            r"data\.0\.wieght is unknown; data has dataset, root, .*, class_map, weight",
        ),
        ("data: [{root: x}, {root: x, sets: 2}]", [], r"data\.1\.sets is unknown"),
        (
            "data: [{mean: [1, 2, 3]}, {mean: [1, 2, 4]}]",
            [],
            r"data\.mean must be the same for all data sets, got \['1'",
        ),
        (
            "data: [{root: x}]",
            ["data.1.root=y"],
            r"expected the number of a data set, from 0 and below 1, got 'data\.1\.root=y'",
        ),
        ("data: {root: x}", ["data.1.root=y"], r"of a data set, from 0 and below 1, got 'data\.1\.root=y'"),
        ("data: {root: x}", ["run.0.seed=1"], r"expected key=value, .* got 'run\.0\.seed=1'"),
        ("data: [{root: x, wieght: 2}]", [], r"recipe\.yaml: data\.wieght is unknown; data has dataset, root"),
        ("data: {root: x, weight: 0}", [], r"data\.weight must be above 0"),
    ],
)
def test_lists_that_cannot_be_meant(tmp_path, text, overrides, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(f"base: {RECIPES / 'camvid.yaml'}\nname: recipe\n{text}")
    with pytest.raises(BisenetError, match=message) as error:
        load_recipe(path, overrides)
    assert "\n" not in str(error.value)


def batches(**options: Any) -> List[List[Draw]]:
    settings: Dict[str, Any] = dict(weights=[3, 1], batch_size=4, iterations=600, seed=1, first=0, rank=0, world_size=1)
    return list(SeededBatches([7, 5], **{**settings, **options}))


def test_frames_are_drawn_by_weight_and_each_set_has_epochs_of_its_own():
    drawn = [draw for batch in batches() for draw in batch]
    assert [draw.position for draw in drawn] == list(range(2400))
    frames = [[draw.frame for draw in drawn if draw.dataset == dataset] for dataset in (0, 1)]
    assert len(frames[0]) / len(drawn) == pytest.approx(0.75, abs=0.03)
    for own, size in zip(frames, (7, 5)):
        epochs = [own[start : start + size] for start in range(0, len(own) - size, size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs) and len(set(map(tuple, epochs))) > 10
    assert len({tuple(draw.dataset for draw in batch) for batch in batches()}) > 8, "no fixed pattern"


def test_the_batches_of_several_sets_follow_from_seed_and_iteration_alone():
    whole = batches()
    assert batches(first=250) == whole[250:] and batches(iterations=100) == whole[:100] and batches(seed=2) != whole
    halves = zip(batches(rank=0, world_size=2), batches(rank=1, world_size=2))
    assert [one + other for one, other in halves] == whole


def test_the_order_of_one_set_is_that_of_versions_that_had_one_alone():
    drawn = [draw.frame for batch in SeededBatches([9], **options()) for draw in batch]
    epochs = [np.random.default_rng([5, epoch]).permutation(9) for epoch in range(2)]
    assert drawn == np.concatenate(epochs).tolist()


def options() -> Dict[str, Any]:
    return dict(weights=[2.0], batch_size=3, iterations=6, seed=5, first=0, rank=0, world_size=1)


def test_shares_of_the_classes_are_those_of_what_is_drawn():
    large, small = np.array([300, 100]), np.array([0, 2])
    assert class_shares([large, small], [3, 1]).tolist() == [0.75 * 0.75, 0.75 * 0.25 + 0.25]


def test_a_joined_run_that_is_stopped_and_resumed_has_the_weights_of_an_unbroken_one(folder, tmp_path, capsys):
    """A limit of 6 microseconds ends each run after one iteration."""
    assert main(command(folder, tmp_path / "whole")) == 0
    printed = capsys.readouterr().out
    limited = command(folder, tmp_path / "limited", "run.max_minutes=1e-7")
    for resume in ([], ["--resume"]):
        assert main([*limited, *resume]) == 0
    for name in ("last", "best"):
        whole, resumed = checkpoint(tmp_path / "whole", name), checkpoint(tmp_path / "limited", name)
        assert whole["global_step"] == resumed["global_step"] and whole["card"]["scores"] == resumed["card"]["scores"]
        assert all(torch.equal(tensor, resumed["state_dict"][key]) for key, tensor in whole["state_dict"].items())

    last = checkpoint(tmp_path / "whole")
    assert [entry["name"] for entry in last["card"]["classes"]] == ["drivable", "green", "vehicle"]
    scores = last["card"]["scores"]
    camvid, yard = scores["sets"]["camvid"], scores["sets"]["yard"]
    assert scores["val_miou"] == pytest.approx((camvid["val_miou"] + yard["val_miou"]) / 2, abs=1e-4)
    assert list(camvid["val_iou"]) == ["drivable", "green", "vehicle"]
    assert list(yard["val_iou"]) == ["drivable", "green"], "it labels no vehicles"
    assert yard["val_miou"] == pytest.approx(np.nanmean(list(yard["val_iou"].values())), abs=1e-4)
    line = f"{100 * scores['val_miou']:.2f} % in the mean of camvid {100 * camvid['val_miou']:.2f}, yard "
    assert f"iteration 2 of 2: mIoU {line}{100 * yard['val_miou']:.2f}, loss" in printed
    (log,) = (tmp_path / "whole" / "joined" / "csv").glob("*/metrics.csv")
    logged = [row["val_miou_yard"] for row in csv.DictReader(log.open()) if row["val_miou_yard"]]
    assert [float(value) for value in logged][-1] == pytest.approx(yard["val_miou"], abs=1e-6) and len(logged) == 1

    assert main([*command(folder, tmp_path / "whole", "data.1.weight=2", "run.iterations=4"), "--resume"]) == 1
    assert "data.1.weight was 1.0, is now 2.0" in capsys.readouterr().err
    assert main([*command(folder, tmp_path / "whole", "data.1.class_map=null", "run.iterations=4"), "--resume"]) == 1
    assert "data.1.class_map was groups.yaml, is now None" in capsys.readouterr().err
    one = f"{{root: {folder / 'clip'}, dataset: camvid, train_split: train, val_split: val, weight: 2}}"
    (folder / "one.yaml").write_text(f"base: joined.yaml\ndata: [{one}]")
    assert main([*command(folder, tmp_path / "whole", "run.iterations=4", recipe="one"), "--resume"]) == 1
    assert "data.sets was 2, is now 1" in capsys.readouterr().err


def refused(folder: Path, output: Path, capsys: pytest.CaptureFixture, *overrides: str) -> str:
    assert main(command(folder, output, *overrides)) == 1
    assert not (output / "joined" / "last.ckpt").exists()
    return capsys.readouterr().err


def test_sets_that_cannot_be_joined(folder, tmp_path, capsys):
    message = refused(folder, tmp_path, capsys, "data.1.class_map=null")
    assert "need the same classes in the same order; data.0 has 3, data.1 has 3, and data.1 has no drivable" in message
    message = refused(folder, tmp_path, capsys, "data.0.class_map=null", "data.1.class_map=null")
    assert "data.0 has 11, data.1 has 3, and data.1 has no bicyclist, building" in message
    assert "data.0 has no gravel, hedge, tool; give each a class_map to the same classes" in message
    message = refused(folder, tmp_path, capsys, f"data.1.class_map={only_tools(tmp_path)}")
    assert "data.0 has 3, data.1 has 1, and data.1 has no drivable, green, vehicle; data.0 has no tool" in message
    message = refused(folder, tmp_path, capsys, "data.1.class_map=camvid_to_cityscapes")
    assert "yard.yaml has no class 'road', which group 'road' is of; its classes are gravel, hedge, tool" in message


def test_a_set_whose_split_is_empty(folder, tmp_path, capsys):
    assert "train.txt lists no frames" in refused(folder, tmp_path, capsys, f"data.0.root={empty(tmp_path)}")
    message = refused(folder, tmp_path, capsys, "data.1.train_split=night")
    assert "expected images of split night at" in message and "one of the splits there " in message


def empty(folder: Path) -> Path:
    (folder / "clip").mkdir()
    for name in ("images", "labels"):
        (folder / "clip" / name).symlink_to(FOLDER / name)
    (folder / "clip" / "train.txt").write_text("")
    return folder / "clip"


def only_tools(folder: Path) -> Path:
    (folder / "tools.yaml").write_text("classes:\n  - {name: tool, color: [1, 2, 3], of: [tool]}")
    return folder / "tools.yaml"


def test_one_set_learns_groups_directly_by_the_nodes_class_map(folder, tmp_path):
    drivable = Path(__file__).parents[2] / "config" / "class_maps" / "drivable.yaml"
    recipe = folder / "drivable.yaml"
    recipe.write_text(
        f"base: {RECIPES / 'camvid.yaml'}\nname: joined\ndata: {{root: {folder / 'clip'}, class_map: {drivable}}}"
    )
    assert main(command(folder, tmp_path, recipe="drivable")) == 0
    card = checkpoint(tmp_path)["card"]
    assert [entry["name"] for entry in card["classes"]] == ["drivable", "walkable", "living", "vehicle", "other"]
    assert card["training"]["data"]["class_map"] == "drivable.yaml" and list(card["scores"]["val_iou"])[0] == "drivable"


def test_check_dataset_finds_no_problem_in_the_sets_of_this_file(folder):
    for dataset, root in (("camvid", folder / "clip"), (str(folder / "yard.yaml"), folder)):
        found, problems = inspect(open_dataset(dataset, root=root, class_map=str(folder / "groups.yaml")))
        assert problems == [] and found


@pytest.mark.parametrize(
    "datasets, names",
    [
        (["camvid", "sets/yard.yaml"], ["camvid", "yard"]),
        (["a.yaml", "b/a.yaml", "a_1"], ["a_0", "a_1", "a_1_2"]),
    ],
)
def test_each_data_set_has_a_name_of_its_own(datasets, names):
    sets = [DataSetRecipe(dataset=dataset, root=".", train_split="train", val_split="val") for dataset in datasets]
    assert set_names(sets) == names
