"""The training loss: cross entropy with online hard example mining, on the head and on every booster head."""

from __future__ import annotations

import math
from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.labels import IGNORE
from bisenet_ros.network.layers import upsample_to


class OhemCrossEntropy(nn.Module):
    """The online bootstrapping of Wu et al. 2016 (Table 4): the mean over the hard pixels alone.

    Args:
        threshold: a pixel whose true class has less than this probability is hard.
        min_fraction: at least this share of the labelled pixels counts, the hardest ones.
    """

    def __init__(self, *, threshold: float, min_fraction: float) -> None:
        super().__init__()
        self.threshold = -math.log(threshold)
        self.min_fraction = min_fraction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """B x classes x H x W float logits and B x H x W int64 labels (255 ignored) to a scalar."""
        losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")[labels != IGNORE]
        if losses.numel() == 0:
            return logits.sum() * 0
        hard = losses[losses > self.threshold]
        fewest = max(1, int(self.min_fraction * losses.numel()))
        return hard.mean() if hard.numel() >= fewest else losses.topk(fewest).values.mean()


def boosted_loss(logits: Sequence[Tensor], labels: Tensor, *, criterion: nn.Module, booster_weight: float) -> Tensor:
    """The criterion of the head plus the weighted criteria of the boosters, each upsampled to the labels' size."""
    size = labels.shape[-2:]
    head, *boosters = (criterion(upsample_to(scale, size), labels) for scale in logits)
    return head + booster_weight * sum(boosters, torch.zeros_like(head))
