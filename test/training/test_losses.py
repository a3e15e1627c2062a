# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training loss against a plain reference that selects the pixels."""

from __future__ import annotations

import math
from typing import Optional, Tuple

import pytest
import torch
from bisenet_training.trainer.losses import (
    OhemCrossEntropy,
    _sparse,
    _upsample_by_matrices,
    balanced_weights,
    boosted_loss,
)
from torch import Tensor
from torch.nn import functional as F

from bisenet_ros.network.layers import upsample_to

WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0])


@pytest.fixture
def example() -> Tuple[Tensor, Tensor]:
    """Logits and a target of five classes, a quarter of it ignored."""
    torch.manual_seed(0)
    logits, target = 4 * torch.randn(2, 5, 16, 16), torch.randint(0, 5, (2, 16, 16))
    target[:, :4] = 255
    return logits, target


def reference(
    logits: Tensor, target: Tensor, threshold: Optional[float], min_fraction: float, class_weights: Optional[Tensor]
) -> Tensor:
    """The same loss by selecting pixels, as it is usually written."""
    labeled = target != 255
    losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none")[labeled]
    classes = target[labeled]
    if threshold is not None:
        hard = losses > -math.log(threshold)
        fewest = max(1, int(min_fraction * len(losses)))
        if hard.sum() < fewest:
            hard = losses.topk(fewest).indices
        losses, classes = losses[hard], classes[hard]
    weights = torch.ones(len(losses)) if class_weights is None else class_weights[classes]
    return (weights * losses).sum() / weights.sum()


@pytest.mark.parametrize("class_weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("threshold, min_fraction", [(0.7, 0.01), (0.7, 0.9), (None, 0.1)])
def test_loss_and_gradient_are_those_of_selected_pixels(example, threshold, min_fraction, class_weights):
    logits, target = example
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    criterion = OhemCrossEntropy(threshold=threshold, min_fraction=min_fraction, class_weights=class_weights)
    loss, expected = criterion(ours, target), reference(theirs, target, threshold, min_fraction, class_weights)
    loss.backward()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(ours.grad, theirs.grad, rtol=1e-5, atol=1e-8)
    assert theirs.grad.abs().sum() > 0.1, "a comparison of zeros says nothing"


def test_the_hardest_pixels_are_taken_when_too_few_are_hard(example):
    """An easy example: none is above the threshold."""
    _, target = example
    logits = 10 * F.one_hot(target.where(target != 255, 0), 5).permute(0, 3, 1, 2) + 0.1 * torch.randn(2, 5, 16, 16)
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=0.25)
    losses = F.cross_entropy(logits, target, ignore_index=255, reduction="none")[target != 255]
    assert losses.max() < -math.log(0.7)
    assert float(criterion(logits, target)) == pytest.approx(float(losses.topk(96).values.mean()), rel=1e-6)


def test_without_a_labeled_pixel_the_loss_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0 and torch.count_nonzero(logits.grad) == 0


def test_rare_classes_weigh_more():
    assert balanced_weights([400, 100, 25, 0], power=0.5).tolist() == [0.5, 1.0, 2.0, 1.0]
    assert balanced_weights([400, 100, 25], power=1.0).tolist() == [0.25, 1.0, 4.0]


def test_boosters_add_to_the_loss():
    target = torch.randint(0, 3, (1, 16, 16))
    head, booster = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 4, 4)
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)
    alone = boosted_loss([head], target, criterion=criterion, booster_weight=0.5)
    other = boosted_loss([booster], target, criterion=criterion, booster_weight=0.5)
    both = boosted_loss([head, booster], target, criterion=criterion, booster_weight=0.5)
    assert both == pytest.approx(float(alone + 0.5 * other))


def test_boosters_are_compared_with_every_fourth_pixel():
    target = torch.randint(0, 3, (2, 16, 20))
    head, booster = torch.randn(2, 3, 3, 3), torch.randn(2, 3, 5, 6)
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)
    options = dict(criterion=criterion, booster_weight=1.0)
    loss = boosted_loss([head, booster], target, booster_stride=4, **options)
    sparse = torch.stack([torch.stack([row[2::4] for row in frame[2::4]]) for frame in target])
    assert sparse.shape == (2, 4, 5)
    expected = boosted_loss([head], target, **options) + boosted_loss([booster], sparse, **options)
    assert float(loss) == pytest.approx(float(expected))


@pytest.mark.parametrize("side, stride", [(480, 4), (360, 16), (720, 32), (481, 7), (5, 8)])
def test_pixels_that_boosters_are_compared_with_lie_where_their_logits_are_stretched_to(side, stride):
    """Also where the crop is no multiple of the stride: bilinear interpolation sees the middle of each cell."""
    places = _sparse(torch.arange(side)[None, :, None].expand(1, side, side), stride)[0, :, 0]
    cells = len(places)
    middles = (torch.arange(cells) + 0.5) * side / cells - 0.5
    assert cells == math.ceil(side / stride) and (places - middles).abs().max() <= 0.5


@pytest.mark.parametrize("size", [(96, 128), (90, 121), (12, 16), (5, 7)])
def test_upsampling_by_matrices_is_bilinear_interpolation_with_its_gradient(size):
    torch.manual_seed(0)
    planes = torch.randn(2, 3, 12, 16, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found, expected = _upsample_by_matrices(planes, size), upsample_to(planes, size)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn(2, 3, *size)
    gradients = [torch.autograd.grad((result * weights).sum(), planes)[0] for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


def test_the_losses_of_the_boosters_are_added_up() -> None:
    logits = [torch.full((1, 2, 4, 4), value) for value in (1.0, 2.0, 3.0)]
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    found = boosted_loss(logits, target, criterion=lambda scores, _: scores.mean(), booster_weight=0.5)
    assert found.item() == pytest.approx(1 + 0.5 * (2 + 3))
