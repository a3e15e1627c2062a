"""Table 1, right: the semantics branch, narrow and deep."""

from __future__ import annotations

from typing import List, NamedTuple, Sequence

from torch import Tensor, nn

from bisenet_ros.network.layers import ContextEmbedding, GatherExpansion, Stem

REPEATS = (2, 2, 4)


class SemanticFeatures(NamedTuple):
    """What the booster heads see of the branch, and its output. Batch first, sizes rounded up."""

    stem: Tensor  # 1/4
    s3: Tensor  # 1/8
    s4: Tensor  # 1/16
    s5_4: Tensor  # 1/32, before the context embedding
    output: Tensor  # 1/32


class SemanticsBranch(nn.Module):
    """Stem, three stages of gather-and-expansion layers, context embedding.

    Args:
        channels: widths of the stem, S3, S4 and S5.
        expansion: epsilon, how many times a gather-and-expansion layer widens.
        depth: d, multiplies the repeats of the gather-and-expansion layers (2, 2, 4).
        context_embedding: False leaves the context embedding out (Table 3b's ablation).
    """

    def __init__(
        self, *, channels: Sequence[int], expansion: int = 6, depth: int = 1, context_embedding: bool = True
    ) -> None:
        super().__init__()
        stem, s3, s4, s5 = channels
        self.stem = Stem(stem)
        self.s3 = self._stage(stem, s3, expansion, REPEATS[0] * depth)
        self.s4 = self._stage(s3, s4, expansion, REPEATS[1] * depth)
        self.s5_4 = self._stage(s4, s5, expansion, REPEATS[2] * depth)
        self.context_embedding = ContextEmbedding(s5) if context_embedding else nn.Identity()

    @staticmethod
    def _stage(channels_in: int, channels_out: int, expansion: int, repeats: int) -> nn.Sequential:
        layers: List[nn.Module] = [GatherExpansion(channels_in, channels_out, expansion=expansion, stride=2)]
        layers += [
            GatherExpansion(channels_out, channels_out, expansion=expansion, stride=1) for _ in range(repeats - 1)
        ]
        return nn.Sequential(*layers)

    def forward(self, image: Tensor) -> SemanticFeatures:
        """B x 3 x H x W float to the features of every stage."""
        stem = self.stem(image)
        s3 = self.s3(stem)
        s4 = self.s4(s3)
        s5_4 = self.s5_4(s4)
        return SemanticFeatures(stem, s3, s4, s5_4, output=self.context_embedding(s5_4))
