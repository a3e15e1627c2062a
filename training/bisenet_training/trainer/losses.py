# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training loss: cross entropy with online hard example mining, on the head and on every booster head."""

import math
from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.network.layers import upsample_to


class OhemCrossEntropy(nn.Module):
    """The online bootstrapping of Wu et al. 2016 (Table 4): the mean over the hard pixels alone.

    Args:
        threshold: a pixel whose true class has less than this probability is hard; None takes every pixel, which is
            plain cross entropy.
        min_fraction: at least this share of the labeled pixels counts, the hardest ones.
        class_weights: classes float; the weight of a pixel of each class in the mean. None: equal weights.
    """

    def __init__(self, *, threshold: float | None, min_fraction: float, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.threshold = None if threshold is None else -math.log(threshold)
        self.min_fraction = min_fraction
        self.class_weights: Tensor | None
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The mean loss of the hard pixels, or without a threshold of all labeled ones.

        B x classes x H x W float logits and B x H x W int64 target (255 ignored) to a scalar.

        Pixels are left out by a weight of 0, which takes a third of the time of selecting them on a CPU.
        """
        losses = F.cross_entropy(logits.float(), target, ignore_index=IGNORE, reduction="none")
        labeled = target != IGNORE
        count = int(labeled.sum())
        if count == 0:
            return logits.sum() * 0
        counted = labeled if self.threshold is None else self._hard(losses, labeled, count, self.threshold)
        weights = counted.float()
        if self.class_weights is not None:
            weights = weights * self.class_weights[target.where(labeled, 0)]
        return (weights * losses).sum() / weights.sum()

    def _hard(self, losses: Tensor, labeled: Tensor, count: int, threshold: float) -> Tensor:
        """The labeled pixels above the threshold, or the `min_fraction` hardest if they are more: B x H x W bool."""
        hard = (losses > threshold) & labeled
        fewest = max(1, int(self.min_fraction * count))
        if int(hard.sum()) >= fewest:
            return hard
        hardest = losses.detach().where(labeled, -1.0).flatten().topk(fewest).indices
        return torch.zeros_like(labeled).flatten().index_fill(0, hardest, True).view_as(labeled)


def balanced_weights(shares: Sequence[float], *, power: float) -> Tensor:
    """The weight of each class in the loss: classes float32.

    It is (median share / its own share) ** power, and 1 for a class without pixels.

    Args:
        shares: of the pixels, classes; or their numbers.
    """
    found = torch.tensor(shares, dtype=torch.float32)
    present = found > 0
    weights = torch.ones_like(found)
    weights[present] = (found[present].median() / found[present]) ** power
    return weights


def boosted_loss(
    logits: Sequence[Tensor], target: Tensor, *, criterion: nn.Module, booster_weight: float, booster_stride: int = 1
) -> Tensor:
    """The criterion of the head plus the weighted criteria of the booster heads.

    Args:
        logits: B x classes x h x w of the head and of every booster head, each at its own scale.
        target: B x H x W int64. The head's logits are upsampled to its size.
        booster_stride: booster heads are compared with one of so many pixels of the target, in both directions; their
            logits are upsampled to that size. The paper's is 1.
    """
    head, *boosters = logits
    loss = criterion(_upsampled(head, target), target)
    if not boosters:
        return loss
    sparse = _sparse(target, booster_stride)
    losses = [criterion(_upsampled(booster, sparse), sparse) for booster in boosters]
    return loss + booster_weight * torch.stack(losses).sum()


def _sparse(target: Tensor, stride: int) -> Tensor:
    """The target at the centers of cells of about `stride` pixels, which cover it all: B x h x w of B x H x W."""
    places = []
    for side in target.shape[1:]:
        cells = -(-side // stride)
        places.append((2 * torch.arange(cells, device=target.device) + 1) * side // (2 * cells))
    rows, columns = places
    return target[:, rows[:, None], columns]


def _upsampled(logits: Tensor, target: Tensor) -> Tensor:
    """Upsamples logits to the target's size, in fp32.

    They are made contiguous, plane by plane: the softmax over channels-last ones is slower on a CPU.
    """
    planes, size = logits.float().contiguous(), target.shape[-2:]
    return _upsample_by_matrices(planes, size) if logits.is_cuda else upsample_to(planes, size)


def _upsample_by_matrices(planes: Tensor, size: Sequence[int]) -> Tensor:
    """Upsamples bilinearly, as `upsample_to`, by two matrix products.

    For a GPU, where the gradient of `upsample_to` takes 60 % of an iteration (torch 2.11, an H200).
    """
    rows, columns = (
        F.interpolate(torch.eye(have, device=planes.device)[None], size=want, mode="linear")[0]
        for have, want in zip(planes.shape[-2:], size)
    )
    with torch.autocast(planes.device.type, enabled=False):
        return rows.T @ planes @ columns
