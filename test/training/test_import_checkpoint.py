# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""CoinCheung/BiSeNet checkpoints: no tensor lost or transposed, and the outputs of the network that they come from."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Dict, Tuple

import pytest
import torch
from bisenet_training.import_checkpoint import CITYSCAPES_MEAN, CITYSCAPES_STD, import_network, read_state_dict
from bisenet_training.trainer.module import SegmentationModule
from bisenet_training.trainer.recipe_file import load_recipe
from bisenet_training.trainer.starting_weights import read_start, start_from
from camvid_classes import CAMVID
from torch import Tensor
from torch.nn import functional as F

from bisenet_ros.cli import main
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError

CLASSES, HEAD_WIDTH = 11, 16  # the published files have 1024; the rest is as wide as there
State = Dict[str, Tensor]
RECIPES = Path(__file__).parents[2] / "training" / "recipes"

WEIGHT = "detail.S1.0.conv.weight"


def coincheung_layout() -> Dict[str, Tuple[int, ...]]:
    """The keys and shapes of such a file, written down from its description."""
    shapes: Dict[str, Tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        for tensor in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{tensor}"] = (channels,)
        shapes[f"{name}.num_batches_tracked"] = ()

    def conv(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape

    def block(name: str, *shape: int) -> None:
        conv(f"{name}.conv", *shape)
        norm(f"{name}.bn", shape[0])

    def pair(name: str, first: int, *shape: int) -> None:
        conv(f"{name}.{first}", *shape)
        norm(f"{name}.{first + 1}", shape[0])

    for stage, (channels_in, channels, repeats) in {1: (3, 64, 2), 2: (64, 64, 3), 3: (64, 128, 3)}.items():
        for i in range(repeats):
            block(f"detail.S{stage}.{i}", channels, channels if i else channels_in, 3, 3)
    block("segment.S1S2.conv", 16, 3, 3, 3)
    block("segment.S1S2.left.0", 8, 16, 1, 1)
    block("segment.S1S2.left.1", 16, 8, 3, 3)
    block("segment.S1S2.fuse", 16, 32, 3, 3)
    for stage, (channels_in, channels, repeats) in {"3": (16, 32, 2), "4": (32, 64, 2), "5_4": (64, 128, 4)}.items():
        name = f"segment.S{stage}.0"
        block(f"{name}.conv1", channels_in, channels_in, 3, 3)
        pair(f"{name}.dwconv1", 0, 6 * channels_in, 1, 3, 3)
        pair(f"{name}.dwconv2", 0, 6 * channels_in, 1, 3, 3)
        pair(f"{name}.conv2", 0, channels, 6 * channels_in, 1, 1)
        pair(f"{name}.shortcut", 0, channels_in, 1, 3, 3)
        pair(f"{name}.shortcut", 2, channels, channels_in, 1, 1)
        for i in range(1, repeats):
            name = f"segment.S{stage}.{i}"
            block(f"{name}.conv1", channels, channels, 3, 3)
            pair(f"{name}.dwconv", 0, 6 * channels, 1, 3, 3)
            pair(f"{name}.conv2", 0, channels, 6 * channels, 1, 1)
    norm("segment.S5_5.bn", 128)
    block("segment.S5_5.conv_gap", 128, 128, 1, 1)
    block("segment.S5_5.conv_last", 128, 128, 3, 3)
    for name in ("left1", "right2"):
        pair(f"bga.{name}", 0, 128, 1, 3, 3)
        conv(f"bga.{name}.2", 128, 128, 1, 1)
    for name in ("left2", "right1", "conv"):
        pair(f"bga.{name}", 0, 128, 128, 3, 3)
    block("head.conv", HEAD_WIDTH, 128, 3, 3)
    conv("head.conv_out.1", CLASSES, HEAD_WIDTH, 1, 1)
    shapes["head.conv_out.1.bias"] = (CLASSES,)
    for stage, (channels, factor) in {"2": (16, 4), "3": (32, 8), "4": (64, 16), "5_4": (128, 32)}.items():
        block(f"aux{stage}.conv", 8, channels, 3, 3)
        block(f"aux{stage}.conv_out.0.1", factor, 8, 3, 3)
        conv(f"aux{stage}.conv_out.1", CLASSES, factor, 1, 1)
        shapes[f"aux{stage}.conv_out.1.bias"] = (CLASSES,)
    return shapes


@pytest.fixture(scope="module")
def state() -> State:
    """Random values, of a size that keeps the activations in range."""
    generator = torch.Generator().manual_seed(0)

    def values(key: str, shape: Tuple[int, ...]) -> Tensor:
        if not shape:
            return torch.tensor(7)
        if len(shape) == 4:
            fan_in = shape[1] * shape[2] * shape[3]
            return torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        return 0.5 + torch.rand(shape, generator=generator)

    return {key: values(key, shape) for key, shape in coincheung_layout().items()}


class Reference:
    """CoinCheung/BiSeNet's network in plain functions, on the names of its file."""

    def __init__(self, state: State) -> None:
        self.state = state

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        groups = x.shape[1] // weight.shape[1]
        bias = self.state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2, groups=groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            self.state[f"{name}.{tensor}"][:, None, None]
            for tensor in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    def block(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.relu(self.norm(self.conv(x, f"{name}.conv", stride), f"{name}.bn"))

    def pair(self, x: Tensor, name: str, first: int = 0, stride: int = 1) -> Tensor:
        return self.norm(self.conv(x, f"{name}.{first}", stride), f"{name}.{first + 1}")

    def detail(self, x: Tensor) -> Tensor:
        for stage, repeats in {1: 2, 2: 3, 3: 3}.items():
            for i in range(repeats):
                x = self.block(x, f"detail.S{stage}.{i}", stride=1 if i else 2)
        return x

    def stem(self, x: Tensor) -> Tensor:
        x = self.block(x, "segment.S1S2.conv", stride=2)
        left = self.block(self.block(x, "segment.S1S2.left.0"), "segment.S1S2.left.1", stride=2)
        right = F.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        return self.block(torch.cat([left, right], dim=1), "segment.S1S2.fuse")

    def gather_expansion(self, x: Tensor, name: str, stride: int) -> Tensor:
        """The 3x3 convolution keeps the channels, the depthwise one expands them; a ReLU before the projection."""
        y = self.block(x, f"{name}.conv1")
        if stride == 1:
            return F.relu(x + self.pair(F.relu(self.pair(y, f"{name}.dwconv")), f"{name}.conv2"))
        y = self.pair(self.pair(y, f"{name}.dwconv1", stride=2), f"{name}.dwconv2")
        shortcut = self.pair(self.pair(x, f"{name}.shortcut", stride=2), f"{name}.shortcut", first=2)
        return F.relu(shortcut + self.pair(F.relu(y), f"{name}.conv2"))

    def semantics(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage, repeats in {"3": 2, "4": 2, "5_4": 4}.items():
            for i in range(repeats):
                x = self.gather_expansion(x, f"segment.S{stage}.{i}", stride=1 if i else 2)
        average = self.norm(x.mean(dim=(2, 3), keepdim=True), "segment.S5_5.bn")
        return self.block(x + self.block(average, "segment.S5_5.conv_gap"), "segment.S5_5.conv_last")

    def aggregate(self, detail: Tensor, semantics: Tensor) -> Tensor:
        """Upsampling repeats pixels; a ReLU at the end."""
        left1 = self.conv(self.pair(detail, "bga.left1"), "bga.left1.2")
        left2 = F.avg_pool2d(self.pair(detail, "bga.left2", stride=2), kernel_size=3, stride=2, padding=1)
        right1 = self.pair(semantics, "bga.right1").repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        right2 = self.conv(self.pair(semantics, "bga.right2"), "bga.right2.2")
        low = (left2 * right2.sigmoid()).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
        return F.relu(self.pair(left1 * right1.sigmoid() + low, "bga.conv"))

    def logits(self, image: Tensor) -> Tensor:
        x = self.aggregate(self.detail(image), self.semantics(image))
        return self.conv(self.block(x, "head.conv"), "head.conv_out.1")


def test_the_imported_network_computes_what_theirs_does(state):
    image = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, theirs = import_network(state).network(image), Reference(state).logits(image)
    assert ours.shape == theirs.shape == (2, CLASSES, 8, 12)
    assert theirs.std() > 0.01, "logits that say nothing would agree with anything"
    assert torch.allclose(ours, theirs, atol=1e-5 * theirs.abs().max().item(), rtol=0)


def test_no_tensor_is_lost_or_transposed():
    """Every value of the file occurs in it once, so that each tensor of the network tells where it comes from."""
    state, first = {}, 0
    for key, shape in coincheung_layout().items():
        size = torch.Size(shape).numel()
        state[key] = torch.arange(first, first + size, dtype=torch.float32).reshape(shape)
        first += size
    assert first < 2**24, "float32 would hold the same value twice"
    imported = import_network(state)
    sources = {tensor.flatten()[0].item(): key for key, tensor in state.items()}
    used = []
    for name, tensor in imported.network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            used.append(sources[tensor.flatten()[0].item()])
            assert torch.equal(tensor, state[used[-1]]), f"{name} is not {used[-1]}"
    left_out = {key for key in state if key.startswith("aux") or key.endswith("num_batches_tracked")}
    assert sorted(used) == sorted(set(state) - left_out)
    assert (imported.tensors, imported.boosters + imported.counters) == (len(used), len(left_out))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {f"module.{key}": tensor for key, tensor in state.items()},
        lambda state: {key: tensor for key, tensor in state.items() if not key.startswith("aux")},
        lambda state: {key: tensor for key, tensor in state.items() if not key.endswith("num_batches_tracked")},
    ],
    ids=["nested", "DistributedDataParallel", "without boosters", "without counters"],
)
def test_usual_wrappings_are_read(state, wrap, tmp_path):
    torch.save(wrap(state), tmp_path / "model.pth")
    network = import_network(read_state_dict(tmp_path / "model.pth")).network
    assert torch.equal(network.head.classifier.weight, state["head.conv_out.1.weight"])
    assert torch.equal(network.detail.s1[0][0].weight, state["detail.S1.0.conv.weight"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"backbone.layer1.weight": torch.zeros(3)}, r"missing: none; unknown: backbone\.layer1\.weight \(1\)"),
        ({"segment.S3.0.dwconv.0.weight": torch.zeros(3)}, r"unknown: segment\.S3\.0\.dwconv\.0\.weight \(1\)"),
        ({"bga.left1.2.weight": None}, r"missing: bga\.left1\.2\.weight \(1\); unknown: none"),
        (
            {"bga.left1.2.weight": torch.zeros(128, 128, 3, 3)},
            r"bga\.left1\.2\.weight .*\(128, 128, 1, 1\), got .*3, 3",
        ),
        ({"head.conv_out.1.weight": None}, r"missing: head\.conv_out\.1\.weight \(1\); unknown: none"),
        ({"head.conv_out.1.weight": torch.zeros(19)}, r"head\.conv_out\.1\.weight .*4 dimensions, got \(19,\)"),
    ],
)
def test_other_keys_and_shapes_are_named(state, change, message):
    changed = {**state, **change}
    with pytest.raises(ModelError, match=message):
        import_network({key: tensor for key, tensor in changed.items() if tensor is not None})


def test_long_lists_of_keys_are_cut_and_counted(state):
    detail = {key: tensor for key, tensor in state.items() if not key.startswith("segment.")}
    with pytest.raises(
        ModelError, match=r"missing: segment\.S1S2\S+, (segment\S+, ){4}\.\.\. \(\d{3}\); unknown: none"
    ):
        import_network(detail)


class Command:
    """What a hostile file would have run."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


@pytest.mark.parametrize("content", [Command(), [1, 2], {"epoch": 3}, {"state_dict": 5}])
def test_other_files_are_refused_and_never_executed(content, tmp_path):
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(ModelError, match=r"model\.pth .*(no file of tensors|must hold one state_dict)"):
        read_state_dict(tmp_path / "model.pth")


def test_a_state_dict_may_be_an_entry_of_a_dict(state, tmp_path):
    torch.save({"epoch": 3, "model": state, "optimizer": {"state": {0: 1}}}, tmp_path / "model.pth")
    assert list(read_state_dict(tmp_path / "model.pth")) == list(state)
    torch.save({"epoch": 3, "model": state, "ema": state}, tmp_path / "model.pth")
    found = rf"it holds a dict: epoch \(int\), model \(dict of {len(state)} entries\), ema \(dict of"
    with pytest.raises(ModelError, match=found):
        read_state_dict(tmp_path / "model.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value, state, tmp_path):
    weight = state[WEIGHT].clone()
    weight.view(-1)[0] = value
    torch.save({**state, WEIGHT: weight}, tmp_path / "model.pth")
    with pytest.raises(
        ModelError, match=rf"model\.pth: {WEIGHT} hold weights that are not finite .* an earlier checkpoint"
    ):
        read_state_dict(tmp_path / "model.pth")


def test_a_checkpoint_of_our_own_is_sent_to_export(state, tmp_path):
    torch.save({"state_dict": state, "network": {}, "card": {}}, tmp_path / "last.ckpt")
    with pytest.raises(ModelError, match="is a checkpoint of `bisenet train`; `bisenet export` makes a model file"):
        read_state_dict(tmp_path / "last.ckpt")


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / "model.pth").write_text("hello")
    with pytest.raises(ModelError, match="is damaged, or no file of tensors"):
        read_state_dict(tmp_path / "model.pth")
    with pytest.raises(ModelError, match="found none"):
        read_state_dict(tmp_path / "none.pth")
    with pytest.raises(ModelError, match=f"{tmp_path} cannot be read: Is a directory; expected a file of tensors"):
        read_state_dict(tmp_path)


@pytest.mark.parametrize("tensor", [torch.zeros(2, device="meta"), torch.zeros(2).to_sparse()], ids=["meta", "sparse"])
def test_tensors_that_are_no_plain_weights_are_refused(tmp_path, tensor):
    torch.save({"weight": tensor}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match="expected dense tensors in .*model.pth, got sparse, quantized or meta ones"):
        read_state_dict(tmp_path / "model.pth")


def test_import_checkpoint_command(state, tmp_path, capsys):
    source, model = tmp_path / "model_final.pth", tmp_path / "model.onnx"
    torch.save(state, source)
    sizes = ["--mean", "0.5", "0.4", "0.3", "--network-size", "96x64"]
    assert main(["import-checkpoint", str(source), "-o", str(model), "--labels", "camvid", *sizes]) == 0
    printed = capsys.readouterr().out
    assert "273 tensors, 11 classes; left out 56 of booster heads" in printed and "54 batch counters" in printed
    card = read_card(model)
    assert (card.classes, card.network_size, card.mean) == (CAMVID, (64, 96), (0.5, 0.4, 0.3))
    assert card.std == (0.2112, 0.2148, 0.2115), "Cityscapes' where none is given"
    assert card.training["imported_from"] == "model_final.pth"
    assert card.training["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


def test_a_run_starts_from_an_imported_checkpoint(state, tmp_path, capsys):
    """All but the heads is the file's: other classes, another width, and booster heads, which it has otherwise."""
    source, imported = tmp_path / "model_final.pth", tmp_path / "model_final.ckpt"
    torch.save(state, source)
    assert main(["import-checkpoint", str(source), "-o", str(imported), "--dataset", "camvid"]) == 0
    hint = shlex.split(capsys.readouterr().out.splitlines()[0].partition(" with ")[2])
    started = load_recipe(RECIPES / "camvid.yaml", ["data.root=/nowhere", *hint])
    assert (started.run.start_from, started.network.variant) == (str(imported), "coincheung")
    assert (tuple(started.data.mean), tuple(started.data.std)) == (CITYSCAPES_MEAN, CITYSCAPES_STD)
    half = ["import-checkpoint", str(source), "-o", str(imported), "--dataset", "camvid", "--weights", "fp16"]
    assert main(half) == 1 and "a checkpoint is fp32: leave it out" in capsys.readouterr().err

    def module(variant: str) -> SegmentationModule:
        recipe = load_recipe(RECIPES / "camvid.yaml", ["data.root=/nowhere", f"network.variant={variant}"])
        classes = CAMVID.to_list()[:3]
        entries = {"name": "yard", "mean": recipe.data.mean, "std": recipe.data.std, "network_size": [64, 64]}
        return SegmentationModule(recipe, ModelCard.from_dict({**entries, "classes": classes}))

    second = module("coincheung")
    initialized = {name: tensor.clone() for name, tensor in second.state_dict().items()}
    start_from(second, read_start(imported, second.recipe.network))
    theirs = {f"network.{name}": tensor for name, tensor in import_network(state).network.state_dict().items()}
    for name, tensor in second.state_dict().items():
        head = name.startswith(("network.head", "network.boosters"))
        assert torch.equal(tensor, initialized[name] if head else theirs[name]), name
    printed = capsys.readouterr().out
    assert "network.boosters.s3.classifier, network.boosters.s3.convolution" in printed
    assert f"was trained with data.mean={list(CITYSCAPES_MEAN)}" in printed
    assert second.started_from["imported_from"] == "model_final.pth"
    with pytest.raises(ModelError, match="recipe's network to start from it; set network.variant=coincheung$"):
        read_start(imported, module("paper").recipe.network)
    with pytest.raises(ModelError, match="`bisenet import-checkpoint model_final.pth -o model_final.ckpt` makes one"):
        read_start(source, second.recipe.network)
    command = ["train", str(RECIPES / "camvid.yaml"), "data.root=/nowhere", "-o", str(tmp_path)]
    assert main([*command, "--resume-from", str(imported)]) == 1
    assert "was imported and is no run to go on with; start from it: run.start_from=" in capsys.readouterr().err


def test_the_file_to_import_is_not_replaced(state, tmp_path, capsys):
    path = tmp_path / "model_final.ckpt"
    torch.save(state, path)
    before = path.read_bytes()
    assert main(["import-checkpoint", str(path), "-o", str(path), "--labels", "cityscapes"]) == 1
    assert "is the file to import, which would be replaced" in capsys.readouterr().err and path.read_bytes() == before


def test_a_data_set_with_another_number_of_classes_is_refused(state, tmp_path, capsys):
    source, model = tmp_path / "model_final.pth", tmp_path / "model.onnx"
    torch.save(state, source)
    assert main(["import-checkpoint", str(source), "-o", str(model), "--labels", "cityscapes"]) == 1
    assert "model_final.pth has 11 classes, the data set cityscapes 19" in capsys.readouterr().err
    assert not model.exists()
