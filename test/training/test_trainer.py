# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parts of the trainer: learning rate, scores, precision, memory format, fp32 layers, the portable checkpoint."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bisenet_training.errors import RecipeError, TrainingDiverged
from bisenet_training.trainer.checkpoint_io import WholeFileCheckpointIO
from bisenet_training.trainer.data_module import DataModule
from bisenet_training.trainer.devices import choose_precision, cluster_environment, require_shares, trainer_devices
from bisenet_training.trainer.fp32_convolution import keep_strided_depthwise_in_fp32
from bisenet_training.trainer.module import SegmentationModule, normalized
from bisenet_training.trainer.portable_checkpoint import deflated, portable
from bisenet_training.trainer.recipe_file import load_recipe
from lightning.pytorch.strategies import DDPStrategy

from bisenet_ros.network import BiSeNetV2

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
NARROW = ["network.width=0.25", "network.head_width=16", "data.root=x", "run.iterations=1000"]


@pytest.mark.parametrize(
    "overrides, rates",
    [
        ([], {0: 1.0, 500: 0.5**0.9, 1000: 0.0}),
        (["optimizer.poly_end=0.2"], {0: 1.0, 500: 0.6**0.9, 1000: 0.2**0.9}),
        (["optimizer.warmup_iterations=9"], {0: 0.1, 4: 0.5 * 0.996**0.9, 9: 0.991**0.9, 500: 0.5**0.9}),
        (["optimizer.poly_power=0"], {0: 1.0, 999: 1.0}),
    ],
)
def test_the_learning_rate_follows_the_poly_schedule(card, overrides, rates):
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", [*NARROW, *overrides]), card)
    schedule = module.configure_optimizers()["lr_scheduler"]["scheduler"]
    found = {iteration: schedule.lr_lambdas[0](iteration) for iteration in rates}
    assert found == pytest.approx(rates)


def test_a_run_that_goes_on_has_the_learning_rate_of_its_own_schedule(card):
    """Also in its first iteration, whatever the rate was when the checkpoint was written."""
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", NARROW), card)
    training = {
        "seconds": 0,
        "images_seen": 0,
        "started_from": None,
        "earlier_runs": [],
        "run": {},
        "iterations_done": 4,
    }
    group = {"lr": 0.0, "initial_lr": 0.05}
    states = [{"param_groups": [group]}]
    card_of_run = {**card.to_dict(), "training": training}
    checkpoint = {"global_step": 500, "optimizer_states": states, "card": card_of_run, "state_dict": {}}
    module.on_load_checkpoint(checkpoint)
    assert group["lr"] == pytest.approx(0.05 * 0.5**0.9)


def test_logits_that_are_not_finite_are_not_scored(card):
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", NARROW), card).eval()
    alone = SimpleNamespace(reduce_boolean_decision=lambda decision, **_: decision)
    module.trainer = SimpleNamespace(default_root_dir=".", global_step=4, strategy=alone)
    torch.nn.init.constant_(module.network.head.classifier.bias, float("nan"))
    module.on_validation_epoch_start()
    module.validation_step((torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.uint8)), 0)
    with pytest.raises(TrainingDiverged, match="a logit in the validation is not finite"):
        module.on_validation_epoch_end()


def test_a_class_that_never_occurs_has_no_score_and_the_card_stays_strict_json(card):
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", NARROW), card)
    module.log = lambda *_, **__: None
    alone = SimpleNamespace(reduce=lambda found, **_: found, reduce_boolean_decision=lambda decision, **_: decision)
    module.trainer = SimpleNamespace(strategy=alone, global_step=4)
    module.on_validation_epoch_start()
    module.confusions[0, :2, :2] = [[1, 0], [1, 1]]
    module.on_validation_epoch_end()
    first, second, *others = module.scores["val_iou"].values()
    assert first == second == module.scores["val_miou"] == 0.5 and set(others) == {None}
    json.dumps(module.scores, allow_nan=False)


def test_every_process_validates_frames_of_its_own():
    recipe = load_recipe(RECIPES / "camvid.yaml", [*NARROW, "run.workers=0"])
    shards = []
    for rank in range(3):
        loaders = DataModule(recipe, training=[], validation=[list(range(8))])
        loaders.trainer = SimpleNamespace(world_size=3, global_rank=rank, num_devices=3)
        (loader,) = loaders.val_dataloader()
        shards.append(list(loader.dataset.indices))
    assert shards == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_frames_are_normalized_where_they_are_trained_on():
    frames = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    found = normalized(torch.from_numpy(frames), mean=(0.2, 0.4, 0.6), std=(0.1, 0.2, 0.3))
    expected = (frames[..., ::-1] / 255 - [0.2, 0.4, 0.6]) / [0.1, 0.2, 0.3]
    assert found.shape == (2, 3, 48, 64) and found.is_contiguous(memory_format=torch.channels_last)
    assert found.dtype == torch.float32 and np.allclose(found.permute(0, 2, 3, 1), expected, atol=1e-5)


@pytest.mark.parametrize(
    "gpu, gpu_bf16, cpu_bf16, precision",
    [
        (False, False, True, "bf16-mixed"),
        (False, False, False, "32-true"),
        (True, True, False, "bf16-mixed"),
        (True, False, True, "16-mixed"),
    ],
)
def test_automatic_precision_is_what_the_device_computes_in(monkeypatch, gpu, gpu_bf16, cpu_bf16, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: gpu_bf16)
    monkeypatch.setattr("bisenet_training.trainer.devices.computes_in_bf16", lambda: cpu_bf16)
    assert choose_precision("auto") == precision
    assert choose_precision("32-true") == "32-true"


@pytest.mark.parametrize(
    "gpu, capability, order",
    [
        (False, "AVX2", torch.contiguous_format),
        (False, "AVX512", torch.channels_last),
        (False, "DEFAULT", torch.channels_last),
        (True, "AVX2", torch.channels_last),
    ],
)
def test_every_convolution_has_the_memory_format_of_the_device(monkeypatch, card, gpu, capability, order):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", NARROW), card)
    module.log = lambda *_, **__: None
    alone = SimpleNamespace(reduce_boolean_decision=lambda decision, **_: decision)
    module.trainer = SimpleNamespace(strategy=alone, world_size=1)
    ordered = []
    for layer in module.network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(lambda _, __, made: ordered.append(made.is_contiguous(memory_format=order)))
    module.training_step((torch.zeros(2, 64, 96, 3, dtype=torch.uint8), torch.zeros(2, 64, 96, dtype=torch.uint8)), 0)
    assert len(ordered) > 50 and all(ordered)


@pytest.mark.parametrize(
    "environment, processes",
    [
        ({}, (4, 1)),
        ({"WORLD_SIZE": "1"}, (4, 1)),  # left from something else
        ({"SLURM_NTASKS": "1"}, (4, 1)),
        ({"WORLD_SIZE": "4", "LOCAL_RANK": "1"}, (4, 1)),  # as Lightning has started it
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"}, (1, 1)),
        ({"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "6", "LOCAL_WORLD_SIZE": "2", "SLURM_NTASKS": "3"}, (2, 3)),
    ],
)
def test_a_run_takes_all_gpus_unless_torchrun_says_otherwise(monkeypatch, environment, processes):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = trainer_devices()
    parallel = processes != (1, 1)
    assert (found["devices"], found["num_nodes"]) == processes and found["sync_batchnorm"] == parallel
    assert isinstance(found["strategy"], DDPStrategy) if parallel else found["strategy"] == "auto"
    assert len(cluster_environment()) == ("TORCHELASTIC_RUN_ID" not in environment)


def test_more_processes_than_gpus_are_no_run(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RecipeError, match="this machine's 2 GPUs, got 4; start torchrun with --nproc-per-node=2"):
        trainer_devices()


@pytest.mark.parametrize("batch_size, processes, nearest", [(16, 3, 15), (8, 8, 16), (2, 4, 8)])
def test_a_batch_that_cannot_be_shared_is_refused_with_one_that_can(batch_size, processes, nearest):
    with pytest.raises(RecipeError, match=f"choose run.batch_size={nearest}, and optimizer.learning_rate in"):
        require_shares(batch_size, processes=processes)
    require_shares(nearest, processes=processes)


def test_several_tasks_of_slurm_are_no_run(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    with pytest.raises(RecipeError, match="got SLURM_NTASKS=2: ask Slurm for one task on each machine"):
        trainer_devices()


def test_strided_depthwise_convolutions_stay_in_fp32():
    torch.manual_seed(0)
    network = BiSeNetV2(classes=3, width=0.25, head_width=8)
    state, image = network.state_dict(), torch.randn(2, 3, 64, 64)
    expected = network.eval()(image)
    keep_strided_depthwise_in_fp32(network)
    assert list(network.state_dict()) == list(state)
    assert torch.equal(network(image), expected), "nothing changes in fp32"
    strided, other = network.semantics.s3[0].depthwise[0][0], network.semantics.s3[0].depthwise[1][0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = torch.randn(1, strided.in_channels, 8, 8).bfloat16()
        assert strided(features).dtype == torch.float32 and other(features).dtype == torch.bfloat16
        network(image).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_portable_checkpoint_of_the_default_network_is_below_10_mb(card):
    torch.manual_seed(0)
    module = SegmentationModule(load_recipe(RECIPES / "camvid.yaml", ["data.root=x"]), card)
    optimizer = module.configure_optimizers()["optimizer"]
    sum(parameter.sum() for parameter in module.parameters()).backward()
    optimizer.step()
    whole = {
        "state_dict": module.state_dict(),
        "current_model_state": module.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "card": replace(card, name="a card").to_dict(),
    }
    size = len(deflated(portable(whole)))
    assert 5e6 < size < 10e6


def test_a_portable_checkpoint_holds_variances_that_fp16_does_not():
    weights = {"convolution.weight": torch.full((1, 1), 1 / 3), "bn.running_var": torch.tensor([1e5])}
    found = portable({"state_dict": weights, "optimizer_states": []})["state_dict"]
    assert found["bn.running_var"].tolist() == [1e5] and found["convolution.weight"].dtype == torch.float16


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    """As on a full disk: a file may have 100 kB here."""
    path, files = tmp_path / "run" / "last.ckpt", WholeFileCheckpointIO()
    files.save_checkpoint({"weights": torch.ones(3)}, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="last.ckpt"):
            files.save_checkpoint({"weights": torch.ones(1_000_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert files.load_checkpoint(path, weights_only=True)["weights"].tolist() == [1, 1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
