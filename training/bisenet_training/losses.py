"""The training loss: cross entropy with online hard example mining, on the head and on every booster head."""

from __future__ import annotations

import math
from typing import Optional, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.labels import IGNORE
from bisenet_ros.network.layers import upsample_to


class OhemCrossEntropy(nn.Module):
    """The online bootstrapping of Wu et al. 2016 (Table 4): the mean over the hard pixels alone.

    Args:
        threshold: a pixel whose true class has less than this probability is hard; None takes every pixel, which is
            plain cross entropy.
        min_fraction: at least this share of the labelled pixels counts, the hardest ones.
        class_weights: classes float; what a pixel of each class weighs in the mean. None: all alike.
    """

    def __init__(
        self, *, threshold: Optional[float], min_fraction: float, class_weights: Optional[Tensor] = None
    ) -> None:
        super().__init__()
        self.threshold = None if threshold is None else -math.log(threshold)
        self.min_fraction = min_fraction
        self.class_weights: Optional[Tensor]
        self.register_buffer("class_weights", class_weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """B x classes x H x W float logits and B x H x W int64 labels (255 ignored) to a scalar."""
        losses = F.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
        labelled = labels != IGNORE
        losses, labels = losses[labelled], labels[labelled]
        if losses.numel() == 0:
            return logits.sum() * 0
        if self.threshold is not None:
            hard = self._hard(losses, self.threshold)
            losses, labels = losses[hard], labels[hard]
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights[labels]
        return (weights * losses).sum() / weights.sum()

    def _hard(self, losses: Tensor, threshold: float) -> Tensor:
        """The places of the hard pixels, int64 or bool."""
        fewest = max(1, int(self.min_fraction * losses.numel()))
        hard = losses > threshold
        return hard if int(hard.sum()) >= fewest else losses.topk(fewest).indices


def balanced_weights(pixels: Sequence[int], *, power: float) -> Tensor:
    """classes float32: (median share / share) ** power of every class.

    Args:
        pixels: how many pixels of each class the training split has; a class without any weighs 1.
    """
    counts = torch.tensor(pixels, dtype=torch.float32)
    present = counts > 0
    weights = torch.ones_like(counts)
    weights[present] = (counts[present].median() / counts[present]) ** power
    return weights


def boosted_loss(logits: Sequence[Tensor], labels: Tensor, *, criterion: nn.Module, booster_weight: float) -> Tensor:
    """The criterion of the head plus the weighted criteria of the boosters, each upsampled to the labels' size."""
    size = labels.shape[-2:]
    head, *boosters = (criterion(upsample_to(scale, size), labels) for scale in logits)
    return head + booster_weight * sum(boosters, torch.zeros_like(head))
