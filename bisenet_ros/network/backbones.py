# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Table 6: other light networks as the semantics branch, torchvision's, from scratch."""

from typing import Any, Callable, Dict, NamedTuple, Sequence

from torch import Tensor, nn

from bisenet_ros.errors import BisenetError
from bisenet_ros.network.layers import ContextEmbedding, conv_bn_relu
from bisenet_ros.network.semantics_branch import SemanticFeatures


class Stages(NamedTuple):
    """A classification network cut where its strides become 4, 8, 16 and 32, and the widths there."""

    modules: Sequence[nn.Module]
    widths: Sequence[int]


def shufflenet_v2(models: Any) -> Stages:
    """ShuffleNetV2 1.5x without its last 1x1 convolution, which is the classifier's."""
    net = models.shufflenet_v2_x1_5(weights=None)
    return Stages((nn.Sequential(net.conv1, net.maxpool), net.stage2, net.stage3, net.stage4), (24, 176, 352, 704))


def mobilenet_v2(models: Any) -> Stages:
    """MobileNetV2 without its last 1x1 convolution, which is the classifier's."""
    features = models.mobilenet_v2(weights=None).features
    return Stages((features[:4], features[4:7], features[7:14], features[14:18]), (24, 32, 96, 320))


def resnet18(models: Any) -> Stages:
    """ResNet-18 without its classifier."""
    net = models.resnet18(weights=None)
    first = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool, net.layer1)
    return Stages((first, net.layer2, net.layer3, net.layer4), (64, 128, 256, 512))


BACKBONES: Dict[str, Callable[[Any], Stages]] = {
    "shufflenet_v2": shufflenet_v2,
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
}


class BackboneBranch(nn.Module):
    """A light network in the semantics branch's place, with its interface.

    Args:
        name: one of `BACKBONES`.
        channels: the detail branch's width, which a 1x1 convolution brings the last stage to.
        context_embedding: False leaves the context embedding out.

    Attributes:
        widths: the channels of every feature map, by the names of `SemanticFeatures`.

    Raises:
        BisenetError: torchvision is not installed.
    """

    def __init__(self, name: str, *, channels: int, context_embedding: bool) -> None:
        super().__init__()
        modules, widths = BACKBONES[name](_torchvision_models(name))
        self.widths: Dict[str, int] = dict(zip(SemanticFeatures._fields, (*widths, channels)))
        self.stem, self.s3, self.s4, self.s5_4 = modules
        self.project = conv_bn_relu(widths[-1], channels, kernel=1)
        self.context_embedding = ContextEmbedding(channels) if context_embedding else nn.Identity()

    def forward(self, image: Tensor) -> SemanticFeatures:
        """B x 3 x H x W float to the features of every stage."""
        stem = self.stem(image)
        s3 = self.s3(stem)
        s4 = self.s4(s3)
        s5_4 = self.s5_4(s4)
        return SemanticFeatures(stem, s3, s4, s5_4, s5_5=self.context_embedding(self.project(s5_4)))


def _torchvision_models(name: str) -> Any:
    try:
        from torchvision import models
    except ImportError as error:
        raise BisenetError(
            f"backbone {name!r} needs the Python package torchvision ({error}); "
            "install it with `pip install '.[backbones]'` in the checkout"
        ) from None
    return models
