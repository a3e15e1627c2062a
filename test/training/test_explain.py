# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Grad-CAM, and the pictures of what the branches look at."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
import torch
from bisenet_training.analysis.explanation import (
    branch_outputs,
    choose_classes,
    draw_features,
    draw_grad_cam,
    draw_masks,
    grad_cam,
)
from bisenet_training.analysis.torch_engine import TorchEngine
from bisenet_training.commands.explain import FIGURES
from matplotlib.figure import Figure
from torch import nn

from bisenet_ros.cli import main
from bisenet_ros.engines.cpu.preprocess import normalize_frame
from bisenet_ros.network import BiSeNetV2
from demo.clip import FOLDER, frame_ids

SMALL = {"classes": 11, "width": 0.25, "head_width": 16}


class TwoConvolutions(nn.Module):
    """A stage of two channels and a classifier of two classes, 1x1 and linear.

    With g the gray value, the channels are g and 3 - g, the classes' logits 3 * g - 3 and 0.5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage = nn.Conv2d(3, 2, kernel_size=1)
        self.classifier = nn.Conv2d(2, 2, kernel_size=1)
        weights = {
            self.stage: ([[1 / 3] * 3, [-1 / 3] * 3], [0.0, 3.0]),
            self.classifier: ([[2.0, -1.0], [0.0, 0.0]], [0.0, 0.5]),
        }
        with torch.no_grad():
            for convolution, (weight, bias) in weights.items():
                convolution.weight[:] = torch.tensor(weight)[..., None, None]
                convolution.bias[:] = torch.tensor(bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.stage(image))


def test_grad_cam_of_a_linear_network_is_what_pencil_and_paper_give():
    network = TwoConvolutions()
    image = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]]).reshape(1, 1, 2, 3).repeat(1, 3, 1, 1)
    # Class 0 has two of the six pixels, where 3 * g - 3 > 0.5; the gradient of their sum is (2, -1) there, 0 elsewhere.
    (heat,) = grad_cam(network, [network.stage], image, class_id=0)
    gray = image[0, 0]
    expected = ((2 * 2 / 6) * gray + (-1 * 2 / 6) * (3 - gray)).clamp(min=0)
    assert torch.allclose(heat, expected, atol=1e-6)
    assert (heat == 0).any() and (heat > 0).any(), "the negative part is cut off"


def test_grad_cam_leaves_the_network_and_the_image_as_they_were():
    network, image = TwoConvolutions(), torch.rand(1, 3, 4, 4)
    grad_cam(network, [network.stage], image, class_id=1)
    assert not image.requires_grad and not network.stage._forward_hooks
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.fixture
def checkpoint(tmp_path, card):
    def save(branches: str, *, name: str = "BiSeNetV2"):
        torch.manual_seed(0)
        network = BiSeNetV2(**SMALL, branches=branches)
        state = {f"network.{key}": value for key, value in network.state_dict().items()}
        path = tmp_path / f"{name}_{branches}.ckpt"
        own_card = replace(card, name=name).to_dict()
        torch.save({"network": {**SMALL, "branches": branches}, "card": own_card, "state_dict": state}, path)
        return path

    return save


@pytest.fixture
def images(tmp_path):
    paths = [tmp_path / "small.jpg", tmp_path / "smaller.jpg"]
    frame = cv2.imread(str(FOLDER / "images" / f"{frame_ids()[0]}.jpg"))
    for path, size in zip(paths, ((120, 90), (64, 64))):
        cv2.imwrite(str(path), cv2.resize(frame, size))
    return [str(path) for path in paths]


def test_fig_8_has_a_row_for_each_image_and_a_map_for_each_stage(card):
    torch.manual_seed(0)
    engine = TorchEngine(BiSeNetV2(**SMALL), card, device="cpu")
    frames = [np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)] * 2
    found = np.bincount(engine.frame_logits(frames[0], engine.network_size(90, 120)).argmax(axis=0).ravel()).argmax()
    assert choose_classes(engine, frames) == [found, found]
    figure = draw_grad_cam(engine, frames, [3, 10])
    assert [axis.get_title() for axis in figure.axes[:4]] == [
        "image",
        *(f"S{i} of the detail branch" for i in (1, 2, 3)),
    ]
    assert len(figure.axes) == 8
    assert [axis.get_ylabel() for axis in figure.axes[::4]] == [
        f"Grad-CAM of {name}" for name in (card.classes.names[3], card.classes.names[10])
    ]
    assert "to its own maximum" in figure.get_supxlabel()
    assert figure.axes[1].images[1].get_array().shape == (90, 120)


def test_fig_9_shows_what_each_part_of_a_network_gives(card):
    torch.manual_seed(0)
    engine = TorchEngine(BiSeNetV2(**SMALL), card, device="cpu")
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    image = torch.from_numpy(normalize_frame(frame, engine.network_size(96, 128), mean=card.mean, std=card.std))
    with torch.inference_mode():
        detail, semantics = engine.network.detail(image), engine.network.semantics(image).s5_5
        expected = [detail, semantics, engine.network.aggregation(detail, semantics)]
        assert engine.network.head(expected[2]).allclose(engine.network(image))
    outputs = branch_outputs(engine.network, image)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(outputs, expected))
    figure = draw_features(engine, [frame])
    titles = ["image", "detail branch", "semantics branch", "aggregation", "mask"]
    assert [axis.get_title() for axis in figure.axes] == titles
    for axis, features in zip(figure.axes[1:4], outputs):
        magnitude = cv2.resize(features[0].abs().mean(dim=0).numpy(), (128, 96))
        assert np.array_equal(axis.images[0].get_array(), magnitude)
    assert np.array_equal(figure.axes[4].images[0].get_array(), card.classes.color_table()[engine.segment(frame)])


def test_fig_9_shows_each_networks_own_mask(card):
    engines = {}
    for seed, branches in enumerate(("detail", "semantics", "both")):
        torch.manual_seed(seed)
        engines[branches] = TorchEngine(BiSeNetV2(**SMALL, branches=branches), card, device="cpu")
    frame = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    figure = draw_masks(engines, [frame])
    for axis, engine in zip(figure.axes[1:], engines.values()):
        assert np.array_equal(axis.images[0].get_array(), card.classes.color_table()[engine.segment(frame)])


def test_the_command_draws_the_figures(checkpoint, images, tmp_path, monkeypatch, capsys):
    output = tmp_path / "new" / "folder"
    command = ["explain", str(checkpoint("both")), images[0], "-o", str(output)]
    assert main(command) == 0
    assert sorted(path.name for path in output.iterdir()) == ["features.png", "grad_cam.png"]
    assert f"{images[0]}: Grad-CAM of " in capsys.readouterr().out
    assert main(command) == 1 and "add --force to replace them" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in output.iterdir()}
    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Figure, "savefig", Mock(side_effect=MemoryError))
        main([*command, "--force"])
    assert {path: path.read_bytes() for path in output.iterdir()} == before
    others = [f"--{branch}-only={checkpoint(branch)}" for branch in ("detail", "semantics")]
    large = f"--large={checkpoint('both', name='BiSeNetV2-Large')}"
    assert main([*command, "--force", *others, large]) == 0
    assert sorted(path.name for path in output.iterdir()) == sorted(FIGURES)
    assert all(cv2.imread(str(output / name)).std() > 10 for name in FIGURES)
    assert main(["explain", str(checkpoint("detail")), images[0], "-o", str(output), "--force"]) == 0
    assert [path.name for path in output.iterdir()] == ["grad_cam.png"], "the others are of another network"


def test_what_cannot_be_explained_is_refused(checkpoint, images, tmp_path, shipped_model, capsys):
    def error(*arguments: str) -> str:
        assert main(["explain", *arguments, "-o", str(tmp_path / "out")]) == 1
        return capsys.readouterr().err

    both, detail, semantics = (str(checkpoint(branches)) for branches in ("both", "detail", "semantics"))
    assert "has no gradients; give the checkpoint" in error(str(shipped_model), *images)
    assert "network.branches=both or detail, and" in error(semantics, *images)
    assert "give both --detail-only and --semantics-only, or none" in error(both, *images, "--detail-only", detail)
    swapped = ("--detail-only", semantics, "--semantics-only", detail)
    assert "network.branches=detail, and" in error(both, *images, *swapped)
    assert "Fig. 11 has BiSeNetV2 beside BiSeNetV2-Large" in error(both, *images, "--large", both)
    assert "--class must be one of sky, building" in error(both, *images, "--class", "rail")
    assert f"{tmp_path / 'none.jpg'}: No such file or directory" in error(both, str(tmp_path / "none.jpg"))
    assert not (tmp_path / "out").exists()
    assert main(["explain", both, *images, "-o", str(tmp_path)]) == 1
    assert f"{tmp_path} exists and holds something else" in capsys.readouterr().err


def test_a_class_that_is_not_in_the_image_is_named(card):
    engine = TorchEngine(BiSeNetV2(**SMALL), card, device="cpu")
    with torch.no_grad():
        engine.network.head.classifier.weight.zero_()
        engine.network.head.classifier.bias[:] = torch.arange(11.0)
    with pytest.raises(ValueError, match="finds no sky in one of the images, only bicyclist"):
        choose_classes(engine, [np.zeros((64, 64, 3), np.uint8)], class_name="sky")
