"""The network against the paper: Table 1's shapes, the complexity of its variants, any input size."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from bisenet_training.complexity import PAPER_CLASSES, PAPER_SIZE, count_flops  # noqa: E402

from bisenet_ros.network import BiSeNetV2, BiSeNetV2Large  # noqa: E402

STAGES = ("stem", "s3", "s4", "s5_4")


def gflops(**options) -> float:
    return count_flops(BiSeNetV2(classes=PAPER_CLASSES, **options), *PAPER_SIZE) / 1e9


@pytest.fixture(scope="module")
def default_gflops() -> float:
    return gflops()


def test_every_stage_has_the_shape_of_table_1():
    network = BiSeNetV2(classes=19).eval()
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
        network(torch.zeros(1, 3, *PAPER_SIZE))
    assert shapes == stages


def test_repeats_of_table_1():
    network = BiSeNetV2(classes=19)
    assert [len(stage) for stage in (network.detail.s1, network.detail.s2, network.detail.s3)] == [2, 3, 3]
    semantics = network.semantics
    assert [len(stage) for stage in (semantics.s3, semantics.s4, semantics.s5_4)] == [2, 2, 4]


@pytest.mark.parametrize(
    "options, paper",
    [
        ({"lambda_ratio": 1 / 2}, 25.84),
        ({"lambda_ratio": 1 / 8}, 19.93),
        ({"lambda_ratio": 1 / 16}, 19.61),
        ({"expansion": 1}, 17.78),
        ({"expansion": 4}, 19.80),
        ({"depth": 2}, 25.26),
        ({"depth": 4}, 33.50),
        ({"context_embedding": False}, 21.07),
    ],
)
def test_complexity_differs_from_the_default_as_in_the_paper(options, paper, default_gflops):
    """Differences, because the paper leaves the width of its head open; 21.15 is its default."""
    assert gflops(**options) - default_gflops == pytest.approx(paper - 21.15, abs=0.03)


def test_boosters_exist_only_while_training():
    boosted = BiSeNetV2(classes=11, boosters=STAGES)
    plain = BiSeNetV2(classes=11)
    assert len(boosted.boosters) == 4
    extra = set(boosted.state_dict()) - set(plain.state_dict())
    assert extra and all(key.startswith("boosters.") for key in extra)


def test_booster_heads_sit_after_stem_s3_s4_and_s5_4():
    network = BiSeNetV2(classes=11, boosters=STAGES).eval()
    with torch.no_grad():
        shapes = [tuple(logits.shape[1:]) for logits in network.forward_boosted(torch.zeros(1, 3, 64, 128))]
    assert shapes == [(11, 8, 16), (11, 16, 32), (11, 8, 16), (11, 4, 8), (11, 2, 4)]


@pytest.mark.parametrize("size", [(720, 960), (360, 480), (479, 641), (33, 65)])
@pytest.mark.parametrize("aggregation", ["bga", "sum", "concat"])
def test_any_input_size_works(size, aggregation):
    network = BiSeNetV2(classes=3, head_width=8, width=0.25, aggregation=aggregation).eval()
    with torch.no_grad():
        logits = network(torch.zeros(1, 3, *size))
    assert logits.shape == (1, 3, -(-size[0] // 8), -(-size[1] // 8))


def test_large_is_twice_as_wide_and_three_times_as_deep():
    network = BiSeNetV2Large(classes=19)
    assert network.detail.s3[0][0].out_channels == 256
    assert [len(stage) for stage in (network.semantics.s3, network.semantics.s4, network.semantics.s5_4)] == [6, 6, 12]


@pytest.mark.parametrize(
    "options, message",
    [({"aggregation": "mean"}, "bga"), ({"lambda_ratio": 1 / 1000}, "lambda_ratio"), ({"depth": 0}, "depth")],
)
def test_impossible_networks_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        BiSeNetV2(classes=19, **options)


def test_complexity_command():
    command = [sys.executable, "-m", "bisenet_ros.cli", "complexity", "--json"]
    default = json.loads(subprocess.check_output(command))
    half = json.loads(subprocess.check_output([*command, "--lambda-ratio", "1/2", "--without-ce"]))
    assert half["gflops"] - default["gflops"] == pytest.approx(4.69 - 0.08, abs=0.06)
    assert half["lambda_ratio"] == 0.5 and half["context_embedding"] is False
    assert default["params"] == sum(p.numel() for p in BiSeNetV2(classes=19).parameters())
