# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The scales at which frames are trained on, and the one at which the network segments them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from bisenet_training.data.find_dataset import find_dataset
from bisenet_training.trainer.frame_scales import describe_other_scale, segmented_scale, trained_scales
from bisenet_training.trainer.recipe_file import load_recipe

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
SIZES = {
    "camvid": [(360, 480)],
    "camvid_original": [(720, 960)],
    "cityscapes": [(1024, 2048)],
    "coco_stuff_10k": [(480, 640), (640, 427)],
    "ade20k": [(512, 683), (256, 256), (1024, 1365)],
    "comma10k": [(874, 1164)],
    "bdd100k": [(720, 1280)],
    "mapillary_vistas_1_2": [(3024, 4032), (1944, 2592)],
}
"""Height and width of frames as the data sets are published."""


def open_frames(name: str) -> SimpleNamespace:
    """What of a data set counts here, without its files."""
    found = find_dataset(name)
    return SimpleNamespace(split="train", padding=found.padding, size_choice=found.size_choice)


@pytest.mark.parametrize(
    "name", [path.stem for path in sorted(RECIPES.glob("*.yaml")) if not path.stem.startswith("finetune_")]
)
def test_the_recipes_train_the_scale_at_which_they_segment(name):
    recipe = load_recipe(RECIPES / f"{name}.yaml", ["data.root=x"])
    for entry in recipe.data.sets:
        assert describe_other_scale(recipe, SIZES[entry.dataset], dataset=open_frames(entry.dataset)) == ""


def test_photos_that_are_larger_than_the_recipes_frames_are_told():
    """Of 1920x1080 the network gets 0.38 of the sides, and crops would show it 0.8 to 2.2 of them."""
    photos = [(1080, 1920)] * 3 + [(360, 480)]
    here = ["data.root=x", "data.dataset=camvid"]
    words = describe_other_scale(load_recipe(RECIPES / "camvid_cpu.yaml", here), photos, dataset=open_frames("camvid"))
    assert words.startswith("3 of the 4 frames of 'train' are segmented at a scale that is not trained: at 0.38 of")
    assert "and at 0.80 to 2.20 by augmentation; set augmentation.frame_size to data.network_size" in words
    larger = load_recipe(RECIPES / "finetune_cpu.yaml", [*here, "augmentation.scale_range=[1.5,2.0]"])
    words = describe_other_scale(larger, photos, dataset=open_frames("camvid"))
    assert words.endswith("choose augmentation.scales, scale_range, crop and resize so that this scale is among them")
    mended = load_recipe(RECIPES / "finetune_cpu.yaml", here)
    assert describe_other_scale(mended, photos, dataset=open_frames("camvid")) == ""
    assert trained_scales(mended.augmentation, (1080, 1920)) == pytest.approx((0.231, 0.635), abs=1e-3)


def test_scales_of_crops_that_are_resized_and_of_frames_that_are_padded():
    cityscapes = load_recipe(RECIPES / "cityscapes.yaml", ["data.root=x"])
    assert trained_scales(cityscapes.augmentation, (1024, 2048)) == (0.375, 1.0)
    assert segmented_scale(cityscapes, (1024, 2048), dataset=open_frames("cityscapes")) == 0.5
    coco = load_recipe(RECIPES / "coco_stuff_10k.yaml", ["data.root=x"])
    assert segmented_scale(coco, (480, 640), dataset=open_frames("coco_stuff_10k")) == 1.0
