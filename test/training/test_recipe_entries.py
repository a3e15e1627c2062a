# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every entry of a recipe that says how a network learns has an effect on its weights."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Dict

import pytest
from bisenet_training.trainer.recipe import AugmentationRecipe, LossRecipe, OptimizerRecipe
from training_runs import checkpoint, same_weights, small_run

from bisenet_ros.cli import main

CHANGES = [
    "data.mean=[0.5,0.5,0.5]",
    "data.std=[0.2,0.2,0.2]",
    "augmentation.scales=[0.5,2.0]",
    "augmentation.scale_range=[0.5,2.0]",
    "augmentation.crop=[96,64]",
    "augmentation.resize=[48,72]",
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
