# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The recipes: the paper's numbers, nothing left unsaid, and a network that can be built for each."""

from __future__ import annotations

import inspect
import math
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import asdict, fields
from functools import lru_cache
from pathlib import Path
from typing import Dict

import pytest
import torch
from bisenet_training.analysis.paper_tables import ROWS
from bisenet_training.data.find_dataset import DATASETS, find_dataset
from bisenet_training.trainer.module import SegmentationModule
from bisenet_training.trainer.recipe import NetworkRecipe, Recipe
from bisenet_training.trainer.recipe_file import load_recipe
from bisenet_training.trainer.starting_weights import HEAD_PART, read_start, start_from
from camvid_classes import CAMVID

from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.backbones import BACKBONES

FOLDER = Path(__file__).parents[2] / "training" / "recipes"
RECIPES = sorted(FOLDER.glob("*.yaml"))
ABLATIONS = sorted((FOLDER / "ablations").glob("*.yaml"))


@lru_cache(maxsize=None)
def load(path: Path) -> Recipe:
    """A recipe, on CamVid where the user has to name a data set."""
    own = ["data.dataset=camvid"] if path.stem.startswith("finetune_") else []
    return load_recipe(path, ["data.root=/nowhere", *own])


@pytest.mark.parametrize("path", [*RECIPES, *ABLATIONS], ids=lambda path: path.stem)
def test_every_recipe_makes_a_network(path):
    recipe = load(path)
    assert recipe.name == path.stem
    for entry in recipe.data.sets:
        assert entry.dataset in DATASETS
        train, val = find_dataset(entry.dataset).splits
        assert (entry.train_split, entry.val_split) in ((train, val), (f"{train}+{val}", None))
    if "cpu" not in path.stem:  # whose crops are smaller, for speed
        assert (recipe.augmentation.resize or recipe.augmentation.crop) == recipe.data.network_size
    if recipe.network.backbone in BACKBONES:
        pytest.importorskip("torchvision")
    with torch.device("meta"):
        network = BiSeNetV2(classes=19, **asdict(recipe.network))
    assert list(network.boosters) == recipe.network.boosters


def test_a_recipe_states_everything():
    sections = [field.type for field in fields(Recipe) if field.name != "name"]
    assert len(sections) == 6
    for section in sections:
        for field in fields(section):
            assert field.default is NO_DEFAULT or field.name in FOR_SEVERAL, f"{section.__name__}.{field.name}"
            assert field.default_factory is NO_DEFAULT


FOR_SEVERAL = ("class_map", "weight", "frame_size")
"""Entries that matter where data sets are joined or merged; other recipes may leave them out."""


def test_a_recipe_states_every_argument_of_the_network():
    arguments = set(inspect.signature(BiSeNetV2).parameters) - {"classes"}
    assert {field.name for field in fields(NetworkRecipe)} == arguments


@pytest.mark.parametrize(
    "name, crop, network_size, weight_decay, iterations",
    [
        ("cityscapes", [1024, 2048], [512, 1024], 5e-4, 150_000),
        ("camvid_original", [720, 960], [720, 960], 5e-4, 10_000),
        ("coco_stuff_10k", [640, 640], [640, 640], 1e-4, 20_000),
        ("ade20k", [480, 480], [480, 480], 1e-4, 150_000),
    ],
)
def test_recipes_have_the_numbers_of_section_4(name, crop, network_size, weight_decay, iterations):
    recipe = load(FOLDER / f"{name}.yaml")
    assert recipe.augmentation.crop == crop
    assert recipe.data.network_size == network_size
    assert recipe.augmentation.scales == [0.75, 1.0, 1.25, 1.5, 1.75, 2.0] and recipe.augmentation.flip
    optimizer = recipe.optimizer
    assert (optimizer.learning_rate, optimizer.momentum, optimizer.poly_power) == (0.05, 0.9, 0.9)
    assert (optimizer.weight_decay, recipe.run.iterations, recipe.run.batch_size) == (weight_decay, iterations, 16)
    assert recipe.network.boosters == ["stem", "s3", "s4", "s5_4"] and recipe.loss.ohem_threshold


@pytest.mark.parametrize("name", ["cityscapes", "camvid", "camvid_original", "coco_stuff_10k", "ade20k"])
def test_the_large_recipe_is_the_other_with_twice_the_width_and_three_times_the_depth(name):
    recipe, large = load(FOLDER / f"{name}.yaml"), load(FOLDER / f"{name}_large.yaml")
    assert asdict(large) == {
        **asdict(recipe),
        "name": f"{name}_large",
        "network": {**asdict(recipe.network), "width": 2.0, "depth": 3},
    }


PAPER_SPLITS = ("camvid_original", "camvid_original_large", "cityscapes_trainval", "cityscapes_large_trainval")


@pytest.mark.parametrize(
    "name", [*PAPER_SPLITS, *(name.replace("original", "original_pretrained") for name in PAPER_SPLITS[:2])]
)
def test_what_is_scored_on_test_is_trained_on_train_and_val(name):
    (entry,) = load(FOLDER / f"{name}.yaml").data.sets
    assert (entry.train_split, entry.val_split) == ("train+val", None)


@pytest.mark.parametrize("size", ["", "_large"])
def test_pre_training_on_cityscapes_has_its_recipe(size):
    pretrained, plain = (load(FOLDER / f"camvid_original{part}{size}.yaml") for part in ("_pretrained", ""))
    first = load(FOLDER / f"cityscapes{size}.yaml")
    assert pretrained.run.start_from == f"runs/{first.name}/last.ckpt"
    assert {**asdict(pretrained), "name": "", "run": 0} == {**asdict(plain), "name": "", "run": 0}


def test_a_shipped_recipe_starts_from_the_checkpoint_of_another(capsys, tmp_path):
    """CamVid's from Cityscapes': heads of 11 classes and 128 channels, from such of 19 and 256."""

    def module(name: str) -> SegmentationModule:
        recipe = load(FOLDER / f"{name}.yaml")
        entries = {"name": name, "mean": recipe.data.mean, "std": recipe.data.std, "network_size": [64, 64]}
        classes = find_dataset(recipe.data.sets[0].dataset).classes
        return SegmentationModule(recipe, ModelCard.from_dict({**entries, "classes": classes.to_list()}))

    first, second = module("cityscapes"), module("camvid_original_pretrained")
    card = {**first.card.to_dict(), "training": {"name": "cityscapes"}}
    saved = {"state_dict": first.state_dict(), "network": first.network_options, "card": card}
    torch.save(saved, tmp_path / "last.ckpt")
    heads = {name: tensor.clone() for name, tensor in second.state_dict().items() if HEAD_PART.match(name)}
    start_from(second, read_start(tmp_path / "last.ckpt", second.recipe.network))
    for name, tensor in second.state_dict().items():
        assert torch.equal(tensor, heads.get(name, first.state_dict()[name])), name
    left = "network.boosters.s3.classifier, network.boosters.s3.convolution"
    assert left in capsys.readouterr().out and second.started_from == {"name": "cityscapes", "scores": {}}


def test_classifiers_of_as_many_other_classes_begin_again(capsys, tmp_path):
    recipe = load(FOLDER / "camvid.yaml")
    data = {"name": "", "mean": recipe.data.mean, "std": recipe.data.std, "network_size": [64, 64]}

    def module(classes: ClassMap, **entries: list[float]) -> SegmentationModule:
        return SegmentationModule(recipe, ModelCard.from_dict({**data, "classes": classes.to_list(), **entries}))

    def start(second: SegmentationModule) -> tuple[set[str], str]:
        """The names of the tensors that are not the first one's, and what is printed."""
        start_from(second, read_start(tmp_path / "last.ckpt", second.recipe.network))
        theirs = first.state_dict()
        kept = {name for name, tensor in second.state_dict().items() if torch.equal(tensor, theirs[name])}
        return theirs.keys() - kept, capsys.readouterr().out

    first = module(CAMVID)
    saved = {"state_dict": first.state_dict(), "network": first.network_options, "card": first.card.to_dict()}
    torch.save(saved, tmp_path / "last.ckpt")
    assert start(module(CAMVID)) == (set(), "")

    new, printed = start(module(ClassMap(CAMVID.classes[::-1])))
    heads = [*(f"network.boosters.{stage}" for stage in ("s3", "s4", "s5_4", "stem")), "network.head"]
    assert {name for name in new if name.endswith("weight")} == {f"{head}.classifier.weight" for head in heads}
    assert all(".classifier." in name for name in new)
    assert printed.endswith(f"stay as initialized: {', '.join(f'{head}.classifier' for head in heads)}\n")

    new, printed = start(module(CAMVID, mean=[0.1, 0.2, 0.3]))
    assert not new and printed.count("\n") == 1
    assert f"was trained with data.mean={recipe.data.mean}" in printed and "has data.mean=[0.1, 0.2, 0.3]" in printed


def test_weights_and_biases_of_convolutions_decay_and_nothing_else():
    """Section 4, "Training". Eight convolutions have a bias."""
    recipe = load(FOLDER / "camvid.yaml")
    card = {"name": "", "mean": [0] * 3, "std": [1] * 3, "network_size": [64, 64], "classes": CAMVID.to_list()}
    module = SegmentationModule(recipe, ModelCard.from_dict(card))
    decayed, others = module.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (5e-4, 0)
    assert len(decayed["params"]) + len(others["params"]) == len(list(module.network.parameters()))
    assert sum(parameter.ndim == 1 for parameter in decayed["params"]) == 8
    assert all(parameter.ndim == 1 for parameter in others["params"])


@pytest.mark.parametrize("name, frames", [("camvid_cpu", 160_000), ("camvid_gpu", 223_000)])
def test_the_two_recipes_together_show_at_least_as_many_frames_as_the_paper(name, frames):
    runs = [load(FOLDER / f"{it}.yaml") for it in (name, f"{name}_trainval")]
    pixels = sum(run.run.iterations * run.run.batch_size * math.prod(run.augmentation.crop) for run in runs)
    assert pixels / (480 * 360) == pytest.approx(frames, rel=0.01)


@pytest.mark.parametrize("name", ["camvid_cpu", "camvid_gpu"])
def test_the_recipe_for_train_and_val_goes_on_with_the_learning_rate_of_the_first(name):
    first, second = (load(FOLDER / f"{it}.yaml").optimizer for it in (name, f"{name}_trainval"))
    assert second.learning_rate == pytest.approx(first.learning_rate * first.poly_end**first.poly_power, rel=0.01)
    assert second.poly_end == 0


def test_every_row_of_the_tables_has_its_recipe():
    """And an ablation's network differs from the whole one by nothing but its row, and by boosters."""

    def changes(recipe: Recipe) -> Dict[str, object]:
        network, whole = asdict(recipe.network), asdict(load(FOLDER / "cityscapes.yaml").network)
        return {name: value for name, value in network.items() if name != "boosters" and value != whole[name]}

    recipes = [changes(load(path)) for path in [*ABLATIONS, FOLDER / "cityscapes_large.yaml"]]
    for row in ROWS:
        assert row.options in recipes, f"no recipe for table {row.table}, {row.change}"
    assert all(recipe in [row.options for row in ROWS] for recipe in recipes)


def test_tables_2_to_4_are_trained_without_ohem():
    whole = {"alpha", "depth", "bga_boosters_ohem", *BACKBONES}
    for path in ABLATIONS:
        recipe = load(path)
        with_ohem = any(path.stem.startswith(name) for name in whole) and path.stem != "bga_boosters"
        assert (recipe.loss.ohem_threshold is not None) == with_ohem, path
        with_boosters = with_ohem or "boosters" in path.stem
        assert bool(recipe.network.boosters) == with_boosters, path


def test_table_4_has_distinct_sets_of_positions():
    sets = [tuple(load(path).network.boosters) for path in ABLATIONS if path.stem.startswith("boosters")]
    assert len(sets) == len(set(sets)) == 6
