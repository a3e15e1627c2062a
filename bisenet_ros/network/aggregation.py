# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Aggregation of the two branches: Fig. 6's bilateral guided aggregation, Table 2's plain sum and concatenation."""

from functools import partial

import torch
from torch import Tensor, nn

from bisenet_ros.network.layers import conv_bn, conv_bn_relu, depthwise_bn, upsample_to


def separable(channels: int, *, bias: bool = True) -> nn.Sequential:
    """3x3 depthwise convolution with batch normalization, then a plain 1x1 convolution."""
    return nn.Sequential(depthwise_bn(channels), nn.Conv2d(channels, channels, kernel_size=1, bias=bias))


class BilateralGuidedAggregation(nn.Module):
    """Fig. 6: the semantics guide the detail, at 1/8 and at 1/32 of the image.

    The detail features of each scale are multiplied with a sigmoid of the semantics; the two products are summed.

    Args:
        channels: of both branches and of the output.
        coincheung: as CoinCheung/BiSeNet has it: upsampling by the nearest neighbor, a ReLU at the end, no bias in the
            1x1 convolutions.
    """

    def __init__(self, channels: int, *, coincheung: bool = False) -> None:
        super().__init__()
        self.detail_keep = separable(channels, bias=not coincheung)
        self.detail_down = nn.Sequential(conv_bn(channels, channels, stride=2), nn.AvgPool2d(3, stride=2, padding=1))
        self.semantics_up = conv_bn(channels, channels)
        self.semantics_keep = separable(channels, bias=not coincheung)
        self.output = conv_bn_relu(channels, channels) if coincheung else conv_bn(channels, channels)
        self.upsample_to = partial(upsample_to, mode="nearest" if coincheung else "bilinear")

    def forward(self, detail: Tensor, semantics: Tensor) -> Tensor:
        """B x C x H/8 x W/8 and B x C x H/32 x W/32 to B x C x H/8 x W/8."""
        size = detail.shape[-2:]
        guide = torch.sigmoid(self.upsample_to(self.semantics_up(semantics), size))
        fine = self.detail_keep(detail) * guide
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantics_keep(semantics))
        return self.output(fine + self.upsample_to(coarse, size))


class PlainAggregation(nn.Module):
    """Table 2's baselines: a separable layer on each branch, then their sum or concatenation (section 4.1).

    The paper does not say what follows; here Fig. 6's last convolution, so that only the aggregation differs.
    """

    def __init__(self, channels: int, *, concatenate: bool) -> None:
        super().__init__()
        self.detail = separable(channels)
        self.semantics = separable(channels)
        self.output = conv_bn(2 * channels if concatenate else channels, channels)
        self.concatenate = concatenate

    def forward(self, detail: Tensor, semantics: Tensor) -> Tensor:
        """B x C x H/8 x W/8 and B x C x H/32 x W/32 to B x C x H/8 x W/8."""
        fine, coarse = self.detail(detail), upsample_to(self.semantics(semantics), detail.shape[-2:])
        return self.output(torch.cat([fine, coarse], dim=1) if self.concatenate else fine + coarse)
