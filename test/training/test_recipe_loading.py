"""Reading a recipe: what it builds on, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("omegaconf")
from bisenet_training.trainer.recipe import RecipeError, load_recipe  # noqa: E402

CAMVID = Path(__file__).parents[2] / "training" / "recipes" / "camvid.yaml"


def test_the_later_word_wins(tmp_path):
    (tmp_path / "middle.yaml").write_text(
        f"base: {CAMVID}\nname: middle\nrun: {{seed: 7}}\nloss: {{class_balance: 0.5}}"
    )
    (tmp_path / "sub").mkdir()
    top = tmp_path / "sub" / "top.yaml"
    top.write_text("base: ../middle.yaml\nname: top\nrun: {seed: 8}")
    recipe = load_recipe(top, ["data.root=/data", "run.workers=0"])
    assert (recipe.name, recipe.run.seed, recipe.run.workers) == ("top", 8, 0)
    assert recipe.loss.class_balance == 0.5 and recipe.optimizer.learning_rate == 0.05


@pytest.mark.parametrize(
    "text, message",
    [
        ("name: [", "recipe.yaml"),
        ("- camvid", "must hold entries such as"),
        ("base: recipe.yaml", "builds on itself"),
        ("base: [1]", "base must be the path of another recipe"),
        ("base: no_such.yaml", "no_such.yaml"),
        ("nmae: x", "nmae"),
    ],
)
def test_malformed_files_are_refused(tmp_path, text, message):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ([], "does not state data.root"),
        (["data.root=x", "optimizer.learning_rat=1"], "learning_rat"),
        (["data.root=x", "run.iterations=many"], "many"),
        (["data.root=x", "augmentation.crop=[32]"], "augmentation.crop must be a height and a width"),
        (["data.root=x", "run.iterations=1001"], "a multiple of run.validate_every"),
        (["data.root=x", "run.precision=fp8"], "run.precision must be one of"),
        (["data.root=x", "run.batch_size=0"], "run.batch_size must be at least 2"),
        (["data.root=x", "run.workers=-1"], "run.workers must be at least 0"),
        (["data.root=x", "augmentation.scales=[]"], "augmentation.scales must be from 0.1 to 10"),
        (["data.root=x", "augmentation.scales=[0.0]"], "augmentation.scales must be from 0.1 to 10"),
        (["data.root=x", "augmentation.color_jitter=1.5"], "augmentation.color_jitter must be from 0 to below 1"),
        (["data.root=x", "loss.ohem_threshold=0.0"], "loss.ohem_threshold must be between 0 and 1"),
        (["data.root=x", "loss.ohem_threshold=null", "loss.ohem_min_fraction=2"], "loss.ohem_min_fraction"),
        (["data.root=x", "optimizer.average_decay=1.0"], "optimizer.average_decay must be from 0 to below 1"),
        (["data.root=x", "data.std=[0,1,1]"], "data.std must have 3 numbers above 0"),
        (["data.root"], "expected key=value, .* got 'data.root'"),
        (["data.root="], "expected key=value, .* got 'data.root='"),
        (["data.root=x", "run.iterations=many"], "run.iterations: Value 'many'"),
        (["data.root=x", "name=../elsewhere"], "name must be what a folder can be called"),
        (["data.root=x", "augmentation.crop=[-5,64]"], "augmentation.crop must be a height and a width"),
        (["data.root=x", "augmentation.crop=[100000,64]"], "augmentation.crop must be a height and a width"),
        (["data.root=x", "augmentation.resize=[0,0]"], "augmentation.resize must be null, or"),
        (["data.root=x", "optimizer.learning_rate=nan"], "optimizer.learning_rate must be a finite number"),
        (["data.root=x", "optimizer.warmup_iterations=-1"], "optimizer.warmup_iterations must be at least 0"),
        (["data.root=x", "run.cache_gigabytes=inf"], "run.cache_gigabytes must be a finite number"),
        (["data.root=x", "network.boosters=[s3,s3]"], "network.boosters must be different stages"),
    ],
)
def test_bad_entries_are_named(overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(CAMVID, overrides)
