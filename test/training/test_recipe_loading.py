# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reading a recipe: what it builds on, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from bisenet_training.trainer.recipe_file import load_recipe

from bisenet_ros.errors import BisenetError

CAMVID = Path(__file__).parents[2] / "training" / "recipes" / "camvid.yaml"


def test_the_last_value_holds(tmp_path):
    (tmp_path / "middle.yaml").write_text(
        f"base: {CAMVID}\nname: middle\nrun: {{seed: 7}}\nloss: {{class_balance: 0.5}}"
    )
    (tmp_path / "sub").mkdir()
    top = tmp_path / "sub" / "top.yaml"
    top.write_text("base: ../middle.yaml\nname: top\nrun: {seed: 8}")
    recipe = load_recipe(top, ["data.root=/data", "run.workers=3", "run.workers=0"])
    assert (recipe.name, recipe.run.seed, recipe.run.workers) == ("top", 8, 0)
    assert recipe.loss.class_balance == 0.5 and recipe.optimizer.learning_rate == 0.05


@pytest.mark.parametrize("text", ["0512", "01", "1e3", "yes", "1.5", "null and void", "[a]", "a: b", "a=b", "~/data"])
def test_text_stays_text(tmp_path, text):
    overrides = [f"name={text.replace('/', '-')}", f"data.train_split={text}", f"data.root={text}"]
    recipe = load_recipe(CAMVID, overrides)
    assert recipe.name == text.replace("/", "-")
    assert recipe.data.sets[0].train_split == recipe.data.sets[0].root == text
    if text[0].isalnum() and ":" not in text:  # a plain scalar in YAML
        (tmp_path / "own.yaml").write_text(f"base: {CAMVID}\nname: {text}\ndata: {{root: {text}}}")
        recipe = load_recipe(tmp_path / "own.yaml")
        assert recipe.name == recipe.data.sets[0].root == text


def test_other_types_follow_from_the_entry():
    overrides = ["data.root=x", "data.val_split=null", "augmentation.crop=[64, 96]", "augmentation.flip=no"]
    overrides += ["run.iterations=1000", "optimizer.learning_rate=5e-3", "loss.ohem_threshold=~"]
    recipe = load_recipe(CAMVID, overrides)
    assert recipe.data.sets[0].val_split is None and recipe.data.scored == [] and recipe.loss.ohem_threshold is None
    assert recipe.augmentation.crop == [64, 96] and recipe.augmentation.flip is False
    assert recipe.run.iterations == 1000 and recipe.optimizer.learning_rate == 0.005


@pytest.mark.parametrize(
    "text, message",
    [
        ("name: [", r"recipe\.yaml, line 1: "),
        ("- camvid", "must hold entries such as"),
        ("base: recipe.yaml", "builds on itself"),
        ("base: [1]", "base must be the path of another recipe"),
        ("base: no_such.yaml", r"expected a YAML file at .*no_such\.yaml: No such file"),
        ("nmae: x", r"recipe\.yaml: nmae is unknown; a recipe has name, data, network"),
        ("name: a\nname: b", r"recipe\.yaml, line 2: duplicate key name"),
        ("run: 5", r"recipe\.yaml: run is a section, whose entries are given one by one, .*; got '5'"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(BisenetError, match=message):
        load_recipe(path)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ([], r"camvid\.yaml: data\.root missing; give each on the command line, as data\.root=\.\.\."),
        (["optimizer.learning_rat=1"], "optimizer.learning_rat is unknown; optimizer has learning_rate, momentum"),
        (["data=x"], "data must be the entries of a data set, or a list of such, got 'x'"),
        (["run.iterations.first=1"], "expected key=value, .* got 'run.iterations.first=1'"),
        (["run.iterations=many"], "run.iterations must be a whole number, got 'many'"),
        (["run.iterations=1.5"], "run.iterations must be a whole number, got '1.5'"),
        (["optimizer.momentum=much"], "optimizer.momentum must be a number, got 'much'"),
        (["augmentation.flip=perhaps"], "augmentation.flip must be true or false, got 'perhaps'"),
        (["augmentation.crop=64"], r"augmentation.crop must be a list such as \[480, 640\], got '64'"),
        (["augmentation.crop=[64"], r"augmentation.crop must be a list such as \[480, 640\], got '\[64'"),
        (["augmentation.crop=[[64]]"], "augmentation.crop must be a single value"),
        (["augmentation.crop=[32]"], "augmentation.crop must be a height and a width"),
        (["run=5"], r"run is a section, whose entries are given one by one, as run.validate_every=\.\.\.; got '5'"),
        (["run.iterations=0"], "run.iterations must be greater than 0, got '0'"),
        (["run.validate_every=0"], "run.validate_every must be greater than 0, got '0'"),
        (["run.iterations=1001"], r"a multiple of run.validate_every \(250\)"),
        (["run.batch_size=100000"], r"run.batch_size times run.iterations \(10000\) must be at most 100000000 images"),
        (["network.width=1e300"], "network.width must be less than or equal to 100, got '1e300'"),
        (["network.lambda_ratio=0"], "network.lambda_ratio must be greater than 0, got '0'"),
        (["network.depth=101"], "network.depth must be less than or equal to 100, got '101'"),
        (["network.head_width=100000"], "network.head_width must be less than or equal to 65536, got '100000'"),
        (["run.precision=fp8"], "run.precision must be 'auto', '32-true', 'bf16-mixed' or '16-mixed', got 'fp8'"),
        (["run.batch_size=0"], "run.batch_size must be greater than or equal to 2, got '0'"),
        (["run.seed=4294967296"], "run.seed must be less than 4294967296, got '4294967296'"),
        (["run.cache_gigabytes=1e300"], "run.cache_gigabytes must be less than or equal to 1000000, got '1e300'"),
        (["run.workers=-1"], "run.workers must be greater than or equal to 0, got '-1'"),
        (["run.max_minutes=0"], "run.max_minutes must be null or above 0"),
        (["augmentation.scales=[]"], "augmentation.scales must be from 0.1 to 10"),
        (["augmentation.scales=[0.0]"], "augmentation.scales must be from 0.1 to 10"),
        (["augmentation.scale_range=[2.0, 1.0]"], "augmentation.scale_range must be null, or a smallest and a largest"),
        (["augmentation.scale_range=[1.0]"], "augmentation.scale_range must be null, or a smallest and a largest"),
        (["augmentation.brightness=1.5"], "augmentation.brightness must be less than 1, got '1.5'"),
        (["augmentation.contrast=-1"], "augmentation.contrast must be greater than or equal to 0, got '-1'"),
        (["augmentation.saturation=1"], "augmentation.saturation must be less than 1, got '1'"),
        (["augmentation.channel_gain=2"], "augmentation.channel_gain must be less than 1, got '2'"),
        (["loss.ohem_threshold=0.0"], "loss.ohem_threshold must be between 0 and 1"),
        (
            ["loss.ohem_threshold=null", "loss.ohem_min_fraction=2"],
            "loss.ohem_min_fraction must be less than or equal to 1, got '2'",
        ),
        (["loss.booster_stride=0"], "loss.booster_stride must be greater than or equal to 1, got '0'"),
        (["optimizer.average_decay=1.0"], "optimizer.average_decay must be less than 1, got '1.0'"),
        (["optimizer.poly_end=1.0"], "optimizer.poly_end must be less than 1, got '1.0'"),
        (["data.std=[0.0009,1,1]"], "data.std must have 3 numbers from 0.001 to 1"),
        (["data.std=[58.4,57.1,57.4]"], "data.std must have 3 numbers from 0.001 to 1; divide those of"),
        (
            ["data.mean=[123.7,116.3,103.5]"],
            "data.mean must have 3 numbers from 0 to 1; divide those of colors of 0 to",
        ),
        (["data.root"], "expected key=value, .* got 'data.root'"),
        (["data.root="], "expected key=value, .* got 'data.root='"),
        (["data.root=/data/stra\udcdfe"], "data.root must be text in UTF-8; rename what it names, got "),
        (["name=../elsewhere"], "name must be a name that a folder can have"),
        (["name=.."], "name must be a name that a folder can have"),
        (["augmentation.crop=[-5,64]"], "augmentation.crop must be a height and a width"),
        (["augmentation.crop=[100000,64]"], "augmentation.crop must be a height and a width"),
        (["augmentation.resize=[0,0]"], "augmentation.resize must be null, or"),
        (
            ["augmentation.crop=[480,640]", "augmentation.resize=[512,1024]"],
            r"augmentation.resize must have the shape of augmentation.crop \[480, 640\], .*augmentation.resize=null",
        ),
        (["optimizer.learning_rate=nan"], "optimizer.learning_rate must be a finite number"),
        (
            ["optimizer.warmup_iterations=-1"],
            "optimizer.warmup_iterations must be greater than or equal to 0, got '-1'",
        ),
        (["run.cache_gigabytes=inf"], "run.cache_gigabytes must be a finite number"),
        (["network.boosters=[s3,s3]"], "network.boosters must have different names"),
        (["augmentation.copy_paste=car"], r"augmentation.copy_paste must be a list such as"),
        (["augmentation.copy_paste=[car,car]"], "augmentation.copy_paste must have different names"),
        (["augmentation.copy_paste=['']"], "augmentation.copy_paste must not be empty, got ''"),
        ([f"run.seed={'9' * 5000}"], "run.seed must be a whole number of fewer digits, got '999"),
        (["run.workers=true"], "run.workers must be a whole number, got 'true'"),
    ],
)
def test_bad_entries_are_named(overrides, message):
    """In one line, and in words of our own."""
    root = (
        []
        if not overrides or any(override.startswith(("data=", "data.root")) for override in overrides)
        else ["data.root=x"]
    )
    with pytest.raises(BisenetError, match=message) as error:
        load_recipe(CAMVID, [*root, *overrides])
    text = str(error.value)
    assert "\n" not in text and not any(
        word in text for word in ("full_key", "object_type", "'str'", "yaml.org", "Input", "Value error")
    )
