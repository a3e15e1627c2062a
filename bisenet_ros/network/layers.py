# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The blocks that both branches are made of: convolutions, stem, gather-and-expansion, context embedding."""

from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn(channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch normalization; the padding keeps the size at stride 1."""
    convolution = nn.Conv2d(
        channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out))


def conv_bn_relu(channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Table 1's "Conv2d": convolution, batch normalization, ReLU."""
    return nn.Sequential(*conv_bn(channels_in, channels_out, kernel=kernel, stride=stride), nn.ReLU(inplace=True))


def depthwise_bn(channels: int, *, stride: int = 1) -> nn.Sequential:
    """3x3 depthwise convolution and batch normalization."""
    return conv_bn(channels, channels, stride=stride, groups=channels)


def upsample_to(x: Tensor, size: Sequence[int], *, mode: str = "bilinear") -> Tensor:
    """Upsampling to the partner's (height, width): sizes such as 720 and 360 are not divisible by 32."""
    return F.interpolate(x, size=tuple(size), mode=mode)


class Stem(nn.Module):
    """Fig. 4a: B x 3 x H x W to B x C x H/4 x W/4, by convolution beside max pooling.

    The text does not give the kernel of the convolution that fuses both; 1x1 fits the GFLOPs of the published tables.

    Args:
        channels: C.
        coincheung: as CoinCheung/BiSeNet has it: fuse by a 3x3 convolution instead of a 1x1 one.
    """

    def __init__(self, channels: int, *, coincheung: bool = False) -> None:
        super().__init__()
        narrow = max(1, channels // 2)
        self.first = conv_bn_relu(3, channels, stride=2)
        self.convolution = nn.Sequential(
            conv_bn_relu(channels, narrow, kernel=1), conv_bn_relu(narrow, channels, stride=2)
        )
        self.pooling = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.fuse = conv_bn_relu(2 * channels, channels, kernel=3 if coincheung else 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        return self.fuse(torch.cat([self.convolution(x), self.pooling(x)], dim=1))


class GatherExpansion(nn.Module):
    """Fig. 5: the gather-and-expansion layer; the 3x3 convolution gathers AND expands, as the text says.

    At stride 2 (Fig. 5c) two depthwise convolutions stand in for a 5x5 one and the shortcut is a separable
    convolution; at stride 1 (Fig. 5b) the shortcut is the identity.

    Args:
        channels_in, channels_out: the same at stride 1.
        expansion: epsilon.
        stride: 1 or 2.
        gather: False expands by a 1x1 convolution, as MobileNetV2's inverted bottleneck does (Table 3b).
        double_depthwise: False keeps the one 5x5 depthwise convolution at stride 2 (Table 3b).
        coincheung: as CoinCheung/BiSeNet has it: the first depthwise convolution expands, the gathering one keeps its
            channels; a ReLU before the projection.

    Raises:
        ValueError: a stride-1 layer is to change its channels.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        expansion: int,
        stride: int,
        gather: bool = True,
        double_depthwise: bool = True,
        coincheung: bool = False,
    ) -> None:
        super().__init__()
        if stride == 1 and channels_in != channels_out:
            raise ValueError(
                f"a stride-1 gather-and-expansion layer keeps its channels, got {channels_in} -> {channels_out}"
            )
        expanded = channels_in * expansion
        gathered = channels_in if coincheung else expanded
        two = stride == 2 and double_depthwise
        self.gather = conv_bn_relu(channels_in, gathered, kernel=3 if gather else 1)
        self.depthwise = nn.Sequential(
            conv_bn(gathered, expanded, kernel=3 if two or stride == 1 else 5, stride=stride, groups=gathered),
            *([depthwise_bn(expanded)] if two else []),
            *([nn.ReLU(inplace=True)] if coincheung else []),
        )
        self.project = conv_bn(expanded, channels_out, kernel=1)
        self.shortcut = (
            nn.Sequential(depthwise_bn(channels_in, stride=2), conv_bn(channels_in, channels_out, kernel=1))
            if stride == 2
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.project(self.depthwise(self.gather(x))) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Fig. 4b: the global average, embedded and added to every position.

    Args:
        channels: of input and output.
        coincheung: as CoinCheung/BiSeNet has it: batch normalization and a ReLU after the last convolution, which then
            has no bias.
    """

    def __init__(self, channels: int, *, coincheung: bool = False) -> None:
        super().__init__()
        self.pooling = nn.AdaptiveAvgPool2d(1)
        self.embed = nn.Sequential(nn.BatchNorm2d(channels), conv_bn_relu(channels, channels, kernel=1))
        self.fuse = (
            conv_bn_relu(channels, channels) if coincheung else nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(x + self.embed(self.pooling(x)))
