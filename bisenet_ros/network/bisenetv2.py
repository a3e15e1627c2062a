"""Fig. 3: BiSeNet V2, the whole network."""

from __future__ import annotations

from typing import List, Sequence

from torch import Tensor, nn

from bisenet_ros.network.aggregation import BilateralGuidedAggregation, ConcatAggregation, SumAggregation
from bisenet_ros.network.detail_branch import CHANNELS, DetailBranch
from bisenet_ros.network.segmentation_head import SegmentationHead
from bisenet_ros.network.semantics_branch import SemanticFeatures, SemanticsBranch

AGGREGATIONS = {"bga": BilateralGuidedAggregation, "sum": SumAggregation, "concat": ConcatAggregation}


class BiSeNetV2(nn.Module):
    """Two branches, their aggregation and a head; booster heads while training.

    Args:
        classes: number of classes.
        lambda_ratio: lambda, the semantics branch's share of the detail branch's channels in S1 and S3.
        expansion: epsilon, the expansion of the gather-and-expansion layers.
        width: alpha, multiplies every width but the head's.
        depth: d, multiplies the repeats of the gather-and-expansion layers.
        head_width: Ct, channels of the head's 3x3 convolution (Fig. 7 leaves it open).
        aggregation: "bga" (Fig. 6), "sum" or "concat" (Table 2).
        context_embedding: False leaves the context embedding out.
        boosters: stages of the semantics branch that get a booster head while training, of "stem", "s3", "s4" and
            "s5_4", all four being Table 4's third row. A network for inference is made without them.
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
        aggregation: str = "bga",
        context_embedding: bool = True,
        boosters: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if aggregation not in AGGREGATIONS:
            raise ValueError(f"aggregation must be one of {sorted(AGGREGATIONS)}, got {aggregation!r}")
        s1, s2, s3 = (round(channels * width) for channels in CHANNELS)
        semantics = [round(s1 * lambda_ratio), round(s3 * lambda_ratio), s3 // 2, s3]
        smallest = {"width": s1, "lambda_ratio": min(semantics), "expansion": expansion, "depth": depth}
        smallest.update(head_width=head_width, classes=classes)
        for name, value in smallest.items():
            if value < 1:
                raise ValueError(
                    f"{name} leaves a part of the network with {value} channels or layers; choose a larger one"
                )
        self.detail = DetailBranch(channels=(s1, s2, s3))
        self.semantics = SemanticsBranch(
            channels=semantics, expansion=expansion, depth=depth, context_embedding=context_embedding
        )
        self.aggregation = AGGREGATIONS[aggregation](s3)
        self.head = SegmentationHead(2 * s3 if aggregation == "concat" else s3, width=head_width, classes=classes)
        stages = dict(zip(SemanticFeatures._fields, semantics))
        self.boosters = nn.ModuleDict(
            {stage: SegmentationHead(stages[stage], width=head_width, classes=classes) for stage in boosters}
        )
        self.apply(_initialise)

    def forward(self, image: Tensor) -> Tensor:
        """B x 3 x H x W normalised float RGB to B x classes x H/8 x W/8 logits, sizes rounded up."""
        return self.head(self.aggregation(self.detail(image), self.semantics(image).output))

    def forward_boosted(self, image: Tensor) -> List[Tensor]:
        """The logits of the head and of every booster head, each at its own scale, for the training loss."""
        features = self.semantics(image)
        logits = self.head(self.aggregation(self.detail(image), features.output))
        return [logits, *(head(getattr(features, stage)) for stage, head in self.boosters.items())]


class BiSeNetV2Large(BiSeNetV2):
    """BiSeNetV2-Large: alpha = 2, d = 3 (section 4.3)."""

    def __init__(self, *, classes: int, width: float = 2.0, depth: int = 3, **options) -> None:
        super().__init__(classes=classes, width=width, depth=depth, **options)


def _initialise(module: nn.Module) -> None:
    """The initialisation of He et al. 2015, as in the paper."""
    if not isinstance(module, nn.Conv2d):
        return
    nn.init.kaiming_normal_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
