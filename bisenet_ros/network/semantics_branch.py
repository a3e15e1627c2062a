# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Table 1, right: the semantics branch, narrow and deep."""

from functools import partial
from typing import Dict, NamedTuple, Sequence

from torch import Tensor, nn

from bisenet_ros.network.layers import ContextEmbedding, GatherExpansion, Stem

REPEATS = (2, 2, 4)


class SemanticFeatures(NamedTuple):
    """The branch's features by stage, with Table 4's names. Batch first, sizes rounded up."""

    stem: Tensor  # 1/4
    s3: Tensor  # 1/8
    s4: Tensor  # 1/16
    s5_4: Tensor  # 1/32, before the context embedding
    s5_5: Tensor  # 1/32, after it: the branch's output


class SemanticsBranch(nn.Module):
    """Stem, three stages of gather-and-expansion layers, context embedding.

    Args:
        channels: widths of the stem, S3, S4 and S5.
        expansion: epsilon, how many times a gather-and-expansion layer widens.
        depth: d, multiplies the repeats of the gather-and-expansion layers (2, 2, 4).
        context_embedding: False leaves the context embedding out (Table 3b).
        gather, double_depthwise: False takes either out of the gather-and-expansion layers (Table 3b).
        coincheung: the layers as CoinCheung/BiSeNet's checkpoints have them.

    Attributes:
        widths: the channels of every feature map, by the names of `SemanticFeatures`.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int],
        expansion: int,
        depth: int,
        context_embedding: bool,
        gather: bool,
        double_depthwise: bool,
        coincheung: bool,
    ) -> None:
        super().__init__()
        stem, s3, s4, s5 = channels
        self.widths: Dict[str, int] = dict(zip(SemanticFeatures._fields, (stem, s3, s4, s5, s5)))

        layer = partial(
            GatherExpansion,
            expansion=expansion,
            gather=gather,
            double_depthwise=double_depthwise,
            coincheung=coincheung,
        )

        def stage(channels_in: int, channels_out: int, repeats: int) -> nn.Sequential:
            first = layer(channels_in, channels_out, stride=2)
            return nn.Sequential(first, *(layer(channels_out, channels_out, stride=1) for _ in range(repeats - 1)))

        self.stem = Stem(stem, coincheung=coincheung)
        self.s3 = stage(stem, s3, REPEATS[0] * depth)
        self.s4 = stage(s3, s4, REPEATS[1] * depth)
        self.s5_4 = stage(s4, s5, REPEATS[2] * depth)
        self.context_embedding = ContextEmbedding(s5, coincheung=coincheung) if context_embedding else nn.Identity()

    def forward(self, image: Tensor) -> SemanticFeatures:
        """B x 3 x H x W float to the features of every stage."""
        stem = self.stem(image)
        s3 = self.s3(stem)
        s4 = self.s4(s3)
        s5_4 = self.s5_4(s4)
        return SemanticFeatures(stem, s3, s4, s5_4, s5_5=self.context_embedding(s5_4))
