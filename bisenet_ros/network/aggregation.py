"""How the branches meet: Fig. 6's bilateral guided aggregation, and Table 2's plain sum and concatenation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bisenet_ros.network.layers import conv_bn, depthwise_bn, upsample_to


def separable(channels: int) -> nn.Sequential:
    """3x3 depthwise convolution with batch normalisation, then a plain 1x1 convolution."""
    return nn.Sequential(depthwise_bn(channels), nn.Conv2d(channels, channels, kernel_size=1))


class BilateralGuidedAggregation(nn.Module):
    """Fig. 6: each branch gates the other at its own scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail_keep = separable(channels)
        self.detail_down = nn.Sequential(
            conv_bn(channels, channels, stride=2),
            nn.AvgPool2d(kernel_size=3, stride=2, padding=1),
        )
        self.semantics_up = conv_bn(channels, channels)
        self.semantics_keep = separable(channels)
        self.output = conv_bn(channels, channels)

    def forward(self, detail: Tensor, semantics: Tensor) -> Tensor:
        """B x C x H/8 x W/8 and B x C x H/32 x W/32 to B x C x H/8 x W/8."""
        size = detail.shape[-2:]
        guide = torch.sigmoid(upsample_to(self.semantics_up(semantics), size))
        fine = self.detail_keep(detail) * guide
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantics_keep(semantics))
        return self.output(fine + upsample_to(coarse, size))


class SumAggregation(nn.Module):
    """Table 2's first baseline: a separable layer on each branch, then the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.detail = separable(channels)
        self.semantics = separable(channels)

    def forward(self, detail: Tensor, semantics: Tensor) -> Tensor:
        """B x C x H/8 x W/8 and B x C x H/32 x W/32 to B x C x H/8 x W/8."""
        return self.detail(detail) + upsample_to(self.semantics(semantics), detail.shape[-2:])


class ConcatAggregation(SumAggregation):
    """Table 2's second baseline: the same, concatenated to B x 2C x H/8 x W/8."""

    def forward(self, detail: Tensor, semantics: Tensor) -> Tensor:
        semantics = upsample_to(self.semantics(semantics), detail.shape[-2:])
        return torch.cat([self.detail(detail), semantics], dim=1)
