# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network against the paper: Table 1's shapes, the complexity of its variants, any input size."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, List

import pytest
import torch
from bisenet_training.analysis.complexity import PAPER_SIZE, count_flops, measure
from bisenet_training.analysis.paper_tables import ROWS
from torch import nn

from bisenet_ros.cli import main
from bisenet_ros.errors import BisenetError
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.backbones import BACKBONES
from bisenet_ros.network.bisenetv2 import CHOICES
from bisenet_ros.network.layers import GatherExpansion

STAGES = ("stem", "s3", "s4", "s5_4")
NARROW = {"classes": 3, "head_width": 8, "width": 0.25}


def gflops(**options) -> float:
    return measure(options)[1]


@pytest.fixture(scope="module")
def default_gflops() -> float:
    return gflops()


def test_convolutions_begin_with_the_variance_of_he_et_al_2015():
    torch.manual_seed(0)
    layers = [layer for layer in BiSeNetV2(classes=19).modules() if isinstance(layer, nn.Conv2d)]
    large = [layer.weight for layer in layers if layer.weight.numel() > 20_000]
    assert len(large) > 20
    for weight in large:
        assert weight.std().item() == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.05)
    assert all((layer.bias == 0).all() for layer in layers if layer.bias is not None)


def test_every_stage_has_the_shape_of_table_1():
    network = BiSeNetV2(classes=19).to("meta").eval()
    shapes = {}
    stages = {
        "detail.s1": (64, 256, 512),
        "detail.s2": (64, 128, 256),
        "detail.s3": (128, 64, 128),
        "semantics.stem": (16, 128, 256),
        "semantics.s3": (32, 64, 128),
        "semantics.s4": (64, 32, 64),
        "semantics.s5_4": (128, 16, 32),
        "semantics.context_embedding": (128, 16, 32),
        "aggregation": (128, 64, 128),
        "head": (19, 64, 128),
    }
    for name in stages:
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: shapes.__setitem__(name, tuple(output.shape[1:]))
        )
    with torch.no_grad():
        network(torch.zeros(1, 3, *PAPER_SIZE, device="meta"))
    assert shapes == stages


def test_repeats_of_table_1():
    network = BiSeNetV2(classes=19)
    assert [len(stage) for stage in (network.detail.s1, network.detail.s2, network.detail.s3)] == [2, 3, 3]
    semantics = network.semantics
    assert [len(stage) for stage in (semantics.s3, semantics.s4, semantics.s5_4)] == [2, 2, 4]


def test_the_tables_have_the_papers_figures_and_no_others():
    """The figures of the published tables; none of them is in the text of the paper."""
    figures = {row.change: row.gflops for row in ROWS if row.gflops is not None}
    assert figures == {
        "BGA (default)": 21.15,
        "lambda 1/2": 25.84,
        "lambda 1/8": 19.93,
        "lambda 1/16": 19.61,
        "without context embedding": 21.07,
        "epsilon 1": 17.78,
        "epsilon 4": 19.80,
        "d 2": 25.26,
        "d 4": 33.50,
    }


@pytest.mark.parametrize("row", [row for row in ROWS if row.gflops], ids=lambda row: row.change)
def test_complexity_differs_from_the_default_as_in_the_paper(row, default_gflops):
    """Differences, because the paper leaves the width of its head open; 21.15 is its default."""
    assert gflops(**row.options) - default_gflops == pytest.approx(row.gflops - 21.15, abs=0.03)


def test_operations_are_counted_as_the_paper_does():
    layers = nn.Sequential(nn.Conv2d(3, 4, kernel_size=3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    outputs = 4 * 4 * 4
    assert count_flops(layers, 8, 8) == outputs * (3 * 9 + 1) + outputs * 2 + outputs
    assert layers.training and layers[0].weight.device.type == "cpu", "counting changes nothing"


def test_boosters_exist_only_while_training():
    boosted = BiSeNetV2(classes=11, boosters=STAGES)
    plain = BiSeNetV2(classes=11)
    assert len(boosted.boosters) == 4
    extra = set(boosted.state_dict()) - set(plain.state_dict())
    assert extra and all(key.startswith("boosters.") for key in extra)


def test_booster_heads_sit_at_table_4s_stages():
    network = BiSeNetV2(**NARROW, boosters=[*STAGES, "s5_5"]).eval()
    image = torch.randn(1, 3, 64, 128)
    with torch.no_grad():
        logits = network.forward_boosted(image)
        last = network.boosters["s5_5"](network.semantics(image).s5_5)
    assert [tuple(scale.shape[-2:]) for scale in logits] == [(8, 16), (16, 32), (8, 16), (4, 8), (2, 4), (2, 4)]
    assert torch.equal(logits[-1], last) and not torch.equal(logits[-1], logits[-2])


@pytest.mark.parametrize("size", [(720, 960), (360, 480), (479, 641), (33, 65)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"aggregation": "sum"},
        {"aggregation": "concat"},
        {"branches": "detail"},
        {"branches": "semantics"},
        {"gather": False, "double_depthwise": False},
        {"variant": "coincheung"},
    ],
)
def test_any_input_size_works(size, options):
    """Also one branch alone gives logits at 1/8, which the model card and the engines assume."""
    network = BiSeNetV2(**NARROW, **options).to("meta").eval()
    with torch.no_grad():
        logits = network(torch.zeros(1, 3, *size, device="meta"))
    assert logits.shape == (1, 3, -(-size[0] // 8), -(-size[1] // 8))


def test_large_is_twice_as_wide_and_three_times_as_deep():
    with torch.device("meta"):
        network = BiSeNetV2(classes=19, width=2.0, depth=3)
    assert network.detail.s3[0][0].out_channels == 256
    assert [len(stage) for stage in (network.semantics.s3, network.semantics.s4, network.semantics.s5_4)] == [6, 6, 12]


@pytest.mark.parametrize("branch, other", [("detail", "semantics"), ("semantics", "detail")])
def test_one_branch_alone_has_nothing_of_the_other(branch, other):
    parts = {key.split(".")[0] for key in BiSeNetV2(**NARROW, branches=branch).state_dict()}
    assert parts == {branch, "head"}
    assert {branch, other, "aggregation", "head"} == {key.split(".")[0] for key in BiSeNetV2(**NARROW).state_dict()}


@pytest.mark.parametrize("aggregation", ["sum", "concat"])
def test_the_plain_aggregations_use_both_branches(aggregation):
    torch.manual_seed(0)
    layer = BiSeNetV2(**NARROW, aggregation=aggregation).eval().aggregation
    detail, semantics = torch.randn(1, 32, 8, 16), torch.randn(1, 32, 2, 4)
    with torch.no_grad():
        both = layer(detail, semantics)
        assert both.shape == detail.shape
        assert not torch.allclose(both, layer(0 * detail, semantics), atol=1e-3)
        assert not torch.allclose(both, layer(detail, 0 * semantics), atol=1e-3)


def depthwise_kernels(layer: GatherExpansion) -> List[int]:
    return [module.kernel_size[0] for module in layer.depthwise.modules() if isinstance(module, nn.Conv2d)]


@pytest.mark.parametrize("stride, double", [(1, [3]), (2, [3, 3])])
def test_table_3b_takes_parts_out_of_the_gather_and_expansion_layer(stride, double):
    whole = GatherExpansion(8, 8, expansion=6, stride=stride)
    single = GatherExpansion(8, 8, expansion=6, stride=stride, double_depthwise=False)
    pointwise = GatherExpansion(8, 8, expansion=6, stride=stride, gather=False)
    assert whole.gather[0].weight.shape == (48, 8, 3, 3) and pointwise.gather[0].weight.shape == (48, 8, 1, 1)
    assert depthwise_kernels(whole) == depthwise_kernels(pointwise) == double
    assert depthwise_kernels(single) == [3 if stride == 1 else 5]
    shapes = {layer(torch.zeros(2, 8, 9, 12)).shape for layer in (whole, single, pointwise)}
    assert shapes == {torch.Size((2, 8, -(-9 // stride), 12 // stride))}


def block(channels_in: int, channels_out: int) -> nn.Module:
    """Halves the size, as a stage of a light network does."""
    return nn.Conv2d(channels_in, channels_out, kernel_size=3, stride=2, padding=1)


def small_mobilenet(*, weights: None) -> Any:
    """The interface of torchvision's MobileNetV2, with the widths where its strides become 4, 8, 16 and 32."""
    blocks: List[nn.Module] = [nn.Identity() for _ in range(19)]
    blocks[0], blocks[2], blocks[4], blocks[7] = block(3, 32), block(32, 24), block(24, 32), block(32, 96)
    blocks[14], blocks[18] = block(96, 320), nn.Conv2d(320, 1280, kernel_size=1)
    return SimpleNamespace(features=nn.Sequential(*blocks))


def small_resnet(*, weights: None) -> Any:
    """The interface of torchvision's ResNet-18."""
    first = {"conv1": block(3, 64), "bn1": nn.BatchNorm2d(64), "relu": nn.ReLU(), "maxpool": nn.MaxPool2d(3, 2, 1)}
    later = {"layer2": block(64, 128), "layer3": block(128, 256), "layer4": block(256, 512)}
    return SimpleNamespace(**first, layer1=nn.Identity(), **later, fc=nn.Linear(512, 1000))


def small_shufflenet(*, weights: None) -> Any:
    """The interface of torchvision's ShuffleNetV2."""
    later = {"stage2": block(24, 176), "stage3": block(176, 352), "stage4": block(352, 704)}
    return SimpleNamespace(conv1=block(3, 24), maxpool=nn.MaxPool2d(3, 2, 1), **later, conv5=block(704, 1024))


def assert_stands_in_for_the_semantics_branch(backbone: str) -> None:
    network = BiSeNetV2(**NARROW, backbone=backbone, boosters=[*STAGES, "s5_5"])
    logits = network.forward_boosted(torch.randn(2, 3, 33, 65))
    assert [tuple(scale.shape[-2:]) for scale in logits] == [(5, 9), (9, 17), (5, 9), (3, 5), (2, 3), (2, 3)]
    sum(scale.sum() for scale in logits).backward()
    assert all(parameter.grad is not None for parameter in network.parameters()), "a part is never used"


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_table_6s_backbones_stand_in_for_the_semantics_branch(backbone, monkeypatch):
    small = {"shufflenet_v2_x1_5": small_shufflenet, "mobilenet_v2": small_mobilenet, "resnet18": small_resnet}
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=SimpleNamespace(**small)))
    assert_stands_in_for_the_semantics_branch(backbone)


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_torchvisions_backbones_stand_in_for_the_semantics_branch(backbone):
    pytest.importorskip("torchvision")
    assert_stands_in_for_the_semantics_branch(backbone)


def test_a_missing_torchvision_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(BisenetError, match=r"resnet18.* torchvision .*pip install '.\[backbones\]'"):
        BiSeNetV2(**NARROW, backbone="resnet18")
    assert BiSeNetV2(**NARROW), "nothing else needs it"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"aggregation": "mean"}, "aggregation .*bga.* got 'mean'"),
        ({"branches": "none"}, "branches .*detail"),
        ({"backbone": "vgg"}, "backbone .*resnet18"),
        ({"variant": "mine"}, "variant .*coincheung"),
        ({"boosters": ["s6"]}, "boosters .*s5_5.* got 's6'"),
        ({"boosters": ["s3"], "branches": "detail"}, "'detail' boosters"),
        ({"lambda_ratio": 1 / 1000}, "lambda_ratio"),
        ({"depth": 0}, "depth"),
    ],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(BisenetError, match=message):
        BiSeNetV2(classes=19, **options)


def complexity(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["complexity", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_complexity_command(capsys):
    default = complexity(capsys)
    half = complexity(capsys, "--lambda-ratio", "1/2", "--without-ce")
    assert half["gflops"] - default["gflops"] == pytest.approx(4.69 - 0.08, abs=0.06)
    assert half["lambda_ratio"] == 0.5 and half["context_embedding"] is False
    assert default["params"] == sum(p.numel() for p in BiSeNetV2(classes=19).parameters())


def test_complexity_of_a_recipe(capsys):
    recipe = str(Path(__file__).parents[2] / "training" / "recipes" / "ablations" / "without_gather.yaml")
    stated = complexity(capsys, "--recipe", recipe)
    assert stated["gather"] is False and stated["gflops"] == complexity(capsys, "--without-gather")["gflops"]
    assert complexity(capsys, "--recipe", recipe, "--expansion", "1")["expansion"] == 1
    of_any_data = complexity(capsys, "--recipe", str(Path(recipe).parents[1] / "finetune_cpu.yaml"))
    assert of_any_data["head_width"] == 128, "though the recipe leaves the data set open"


def test_complexity_table(capsys, monkeypatch):
    monkeypatch.setattr("bisenet_training.analysis.complexity.ROWS", (ROWS[5], ROWS[-1]))
    monkeypatch.setitem(sys.modules, "torchvision", None)
    half, without_torchvision = complexity(capsys, "--table")
    assert (half["table"], half["change"], half["paper_gflops"]) == ("3a", "lambda 1/2", 25.84)
    assert half["difference"] == pytest.approx(half["paper_difference"], abs=0.03)
    assert "torchvision" in without_torchvision["note"] and without_torchvision["params"] is None
    assert main(["complexity", "--table"]) == 0
    printed = capsys.readouterr().out
    assert "25.84" in printed and "+4.69" in printed and "torchvision" in printed


def test_the_help_of_complexity_names_every_choice(capsys):
    with pytest.raises(SystemExit):
        main(["complexity", "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    for option, choices in CHOICES.items():
        own = printed.partition(f"--{option} NAME ")[2].partition(" --")[0]
        assert all(choice in own for choice in choices), option
