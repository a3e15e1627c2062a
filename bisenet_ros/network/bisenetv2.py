# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fig. 3: BiSeNet V2, the whole network."""

from functools import partial
from inspect import signature
from typing import List, Optional, Sequence, Tuple, Union

from torch import Tensor, nn

from bisenet_ros.errors import BisenetError
from bisenet_ros.network.aggregation import BilateralGuidedAggregation, PlainAggregation
from bisenet_ros.network.backbones import BACKBONES, BackboneBranch
from bisenet_ros.network.detail_branch import CHANNELS, DetailBranch
from bisenet_ros.network.layers import upsample_to
from bisenet_ros.network.segmentation_head import SegmentationHead
from bisenet_ros.network.semantics_branch import SemanticFeatures, SemanticsBranch

GATHER_EXPANSION = "gather_expansion"
CHOICES = {
    "branches": ("both", "detail", "semantics"),
    "backbone": (GATHER_EXPANSION, *BACKBONES),
    "aggregation": ("bga", "sum", "concat"),
    "variant": ("paper", "coincheung"),
}
"""The choices for those arguments of BiSeNetV2 that are names."""


class BiSeNetV2(nn.Module):
    """Two branches, their aggregation and a head; booster heads while training.

    Args:
        classes: number of classes.
        lambda_ratio: lambda, the semantics branch's share of the detail branch's channels in S1 and S3.
        expansion: epsilon, the expansion of the gather-and-expansion layers.
        width: alpha, multiplies every width but the head's; 2 for BiSeNetV2-Large (section 4.2).
        depth: d, multiplies the repeats of the gather-and-expansion layers; 3 for BiSeNetV2-Large.
        head_width: Ct, channels of the head's 3x3 convolution (Fig. 7 leaves it open).
        branches: "both", or "detail" or "semantics" alone (Table 2), which then has no aggregation.
        backbone: what the semantics branch is made of: "gather_expansion" (Table 1), or Table 6's "shufflenet_v2",
            "mobilenet_v2" or "resnet18", which keep their own widths and depths: lambda, epsilon, alpha, d and the
            next two arguments do not concern them.
        gather: False makes the gather layer, the 3x3 convolution that expands, a 1x1 one (Table 3b).
        double_depthwise: False puts one 5x5 depthwise convolution in the place of the two of 3x3 (Table 3b).
        context_embedding: False leaves the context embedding out (Table 3b).
        aggregation: "bga" (Fig. 6), "sum" or "concat" (Table 2).
        variant: "paper", or "coincheung" for checkpoints of github.com/CoinCheung/BiSeNet. There the depthwise
            convolution expands instead of the gather layer and a ReLU follows it, the context embedding and the
            aggregation end in batch normalization and a ReLU, the aggregation upsamples by the nearest neighbor and
            has fewer biases, and the stem fuses by a 3x3 convolution. Its head has a `head_width` of 1024.
        boosters: stages of the semantics branch that get a booster head while training, of "stem", "s3", "s4", "s5_4"
            and "s5_5" (Table 4's 2, 3, 4, 5_4 and 5_5). A network for inference is made without them.

    Raises:
        BisenetError: an argument is none of its choices, the boosters have no branch, a part would be left without
            channels or layers, or the backbone's package is missing.
    """

    def __init__(
        self,
        *,
        classes: int,
        lambda_ratio: float = 1 / 4,
        expansion: int = 6,
        width: float = 1.0,
        depth: int = 1,
        head_width: int = 256,
        branches: str = "both",
        backbone: str = GATHER_EXPANSION,
        gather: bool = True,
        double_depthwise: bool = True,
        context_embedding: bool = True,
        aggregation: str = "bga",
        variant: str = "paper",
        boosters: Sequence[str] = (),
    ) -> None:
        super().__init__()
        _check_names(branches=branches, backbone=backbone, aggregation=aggregation, variant=variant)
        _check_boosters(boosters, branches)
        s1, s2, s3 = (round(channels * width) for channels in CHANNELS)
        semantics = [round(s1 * lambda_ratio), round(s3 * lambda_ratio), s3 // 2, s3]
        smallest = {"width": s1, "lambda_ratio": min(semantics), "expansion": expansion, "depth": depth}
        _check_smallest(**smallest, head_width=head_width, classes=classes)
        coincheung = variant == "coincheung"
        self.branches = branches
        if branches != "semantics":
            self.detail = DetailBranch(channels=(s1, s2, s3))
        if branches != "detail":
            self.semantics: Union[SemanticsBranch, BackboneBranch] = (
                SemanticsBranch(
                    channels=semantics,
                    expansion=expansion,
                    depth=depth,
                    context_embedding=context_embedding,
                    gather=gather,
                    double_depthwise=double_depthwise,
                    coincheung=coincheung,
                )
                if backbone == GATHER_EXPANSION
                else BackboneBranch(backbone, channels=s3, context_embedding=context_embedding)
            )
        if branches == "both":
            self.aggregation: Union[BilateralGuidedAggregation, PlainAggregation] = (
                BilateralGuidedAggregation(s3, coincheung=coincheung)
                if aggregation == "bga"
                else PlainAggregation(s3, concatenate=aggregation == "concat")
            )
        head = partial(SegmentationHead, width=head_width, classes=classes)
        self.head = head(s3)
        self.boosters = nn.ModuleDict({stage: head(self.semantics.widths[stage]) for stage in boosters})
        self.apply(_initialize)

    def forward(self, image: Tensor) -> Tensor:
        """B x 3 x H x W normalized float RGB to B x classes x H/8 x W/8 logits, sizes rounded up."""
        return self.head(self._encode(image)[0])

    def forward_boosted(self, image: Tensor) -> List[Tensor]:
        """The logits of the head and of every booster head, each at its own scale, for the training loss."""
        encoded, features = self._encode(image)
        return [self.head(encoded), *(head(getattr(features, stage)) for stage, head in self.boosters.items())]

    def _encode(self, image: Tensor) -> Tuple[Tensor, Optional[SemanticFeatures]]:
        """The features for the head, at 1/8 whatever the branches, and the semantics branch's features."""
        if self.branches == "detail":
            return self.detail(image), None
        features = self.semantics(image)
        if self.branches == "semantics":
            # The paper does not say at which scale; the card and the engines have the logits at 1/8.
            return upsample_to(features.s5_5, features.s3.shape[-2:]), features
        return self.aggregation(self.detail(image), features.s5_5), features


DEFAULTS = {name: entry.default for name, entry in signature(BiSeNetV2).parameters.items() if name != "classes"}
"""The arguments of BiSeNetV2 but for the classes: the paper's network, without boosters."""


def _check_names(**names: str) -> None:
    for name, value in names.items():
        if value not in CHOICES[name]:
            raise BisenetError(f"{name} must be one of {list(CHOICES[name])}, got {value!r}")


def _check_smallest(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise BisenetError(
                f"{name} leaves a part of the network with {count} channels or layers; choose a larger one"
            )


def _check_boosters(boosters: Sequence[str], branches: str) -> None:
    stages = SemanticFeatures._fields if branches != "detail" else ()
    for stage in boosters:
        if stage not in stages:
            raise BisenetError(f"with branches {branches!r} boosters must be among {list(stages)}, got {stage!r}")


def _initialize(module: nn.Module) -> None:
    """The initialization of He et al. 2015, as in the paper."""
    if not isinstance(module, nn.Conv2d):
        return
    nn.init.kaiming_normal_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
