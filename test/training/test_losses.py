"""The training loss against its definition."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")
from bisenet_training.trainer.losses import OhemCrossEntropy, balanced_weights, boosted_loss  # noqa: E402
from torch.nn import functional as F  # noqa: E402


@pytest.fixture
def example():
    torch.manual_seed(0)
    logits, labels = 4 * torch.randn(2, 5, 16, 16), torch.randint(0, 5, (2, 16, 16))
    labels[:, :4] = 255
    losses = F.cross_entropy(logits, labels, ignore_index=255, reduction="none")[labels != 255]
    return logits, labels, losses


def test_ohem_takes_the_mean_over_the_hard_pixels(example):
    logits, labels, losses = example
    hard = losses[losses > -math.log(0.7)]
    assert OhemCrossEntropy(threshold=0.7, min_fraction=0.01)(logits, labels) == pytest.approx(float(hard.mean()))
    fewest = losses.topk(int(0.9 * losses.numel())).values
    assert OhemCrossEntropy(threshold=0.7, min_fraction=0.9)(logits, labels) == pytest.approx(float(fewest.mean()))


def test_without_a_threshold_it_is_cross_entropy(example):
    logits, labels, losses = example
    assert OhemCrossEntropy(threshold=None, min_fraction=0.1)(logits, labels) == pytest.approx(float(losses.mean()))


@pytest.mark.parametrize("min_fraction", [0.01, 0.9])
def test_classes_weigh_in_the_mean_over_the_hard_pixels(example, min_fraction):
    logits, labels, losses = example
    weights = torch.tensor([1.0, 2.0, 0.5, 4.0, 1.0])
    hard = losses > -math.log(0.7) if min_fraction == 0.01 else losses.topk(int(0.9 * losses.numel())).indices
    share = weights[labels[labels != 255][hard]]
    expected = (share * losses[hard]).sum() / share.sum()
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=min_fraction, class_weights=weights)
    assert criterion(logits, labels) == pytest.approx(float(expected))


def test_rare_classes_weigh_more_to_the_power_asked_for():
    assert balanced_weights([400, 100, 25, 0], power=0.5).tolist() == [0.5, 1.0, 2.0, 1.0]
    assert balanced_weights([400, 100, 25], power=1.0).tolist() == [0.25, 1.0, 4.0]


def test_without_a_label_the_loss_is_zero_and_has_a_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0 and torch.count_nonzero(logits.grad) == 0


def test_boosters_add_to_the_loss():
    labels = torch.randint(0, 3, (1, 16, 16))
    head, booster = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 4, 4)
    criterion = OhemCrossEntropy(threshold=0.7, min_fraction=0.1)
    alone = boosted_loss([head], labels, criterion=criterion, booster_weight=0.5)
    other = boosted_loss([booster], labels, criterion=criterion, booster_weight=0.5)
    both = boosted_loss([head, booster], labels, criterion=criterion, booster_weight=0.5)
    assert both == pytest.approx(float(alone + 0.5 * other))
