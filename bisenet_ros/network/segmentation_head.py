# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fig. 7: the segmentation head, used by the network and by the boosters."""

from torch import Tensor, nn

from bisenet_ros.network.layers import conv_bn_relu


class SegmentationHead(nn.Module):
    """3x3 convolution to Ct channels, then 1x1 to the classes.

    Fig. 7's upsampling is left to the caller: training upsamples to the target's size, inference in the same pass as
    the argmax.
    """

    def __init__(self, channels: int, *, width: int, classes: int) -> None:
        super().__init__()
        self.convolution = conv_bn_relu(channels, width)
        self.classifier = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """B x C x h x w features to B x classes x h x w logits."""
        return self.classifier(self.convolution(x))
