# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Table 1, left: the detail branch, wide and shallow."""

from typing import Sequence

from torch import Tensor, nn

from bisenet_ros.network.layers import conv_bn_relu

CHANNELS = (64, 64, 128)
CONVOLUTIONS = (2, 3, 3)


class DetailBranch(nn.Module):
    """Three stages of plain 3x3 convolutions, the first of each with stride 2, without residual connections.

    Args:
        channels: widths of S1, S2 and S3.
    """

    def __init__(self, channels: Sequence[int] = CHANNELS) -> None:
        super().__init__()

        def stage(channels_in: int, channels_out: int, convolutions: int) -> nn.Sequential:
            first = conv_bn_relu(channels_in, channels_out, stride=2)
            return nn.Sequential(first, *(conv_bn_relu(channels_out, channels_out) for _ in range(convolutions - 1)))

        self.s1, self.s2, self.s3 = map(stage, [3, *channels], channels, CONVOLUTIONS)

    def forward(self, image: Tensor) -> Tensor:
        """B x 3 x H x W float to B x C3 x H/8 x W/8, sizes rounded up."""
        return self.s3(self.s2(self.s1(image)))
