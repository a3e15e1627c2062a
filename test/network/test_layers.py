# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The layers of the paper's figures against their formulas, written out with the weights by name."""

from __future__ import annotations

from typing import Any, Dict

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.network.aggregation import BilateralGuidedAggregation
from bisenet_ros.network.layers import ContextEmbedding, GatherExpansion, Stem

CHANNELS = 8
State = Dict[str, Tensor]


def randomized(module: nn.Module) -> nn.Module:
    """The module in evaluation, with random weights and statistics."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values.abs() + 0.5 if name.endswith("running_var") else values)
    return module.eval()


def features(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def conv(x: Tensor, state: State, name: str, stride: int = 1) -> Tensor:
    weight = state[f"{name}.weight"]
    options: Dict[str, Any] = {"padding": weight.shape[-1] // 2, "groups": x.shape[1] // weight.shape[1]}
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride, **options)


def norm(x: Tensor, state: State, name: str) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, mean, var, weight, bias)


def conv_bn(x: Tensor, state: State, name: str, stride: int = 1) -> Tensor:
    return norm(conv(x, state, f"{name}.0", stride), state, f"{name}.1")


def test_the_stem_is_fig_4a() -> None:
    layer, image = randomized(Stem(CHANNELS)), features(2, 3, 16, 24, seed=1)
    s = layer.state_dict()
    x = F.relu(conv_bn(image, s, "first", 2))
    left = F.relu(conv_bn(F.relu(conv_bn(x, s, "convolution.0")), s, "convolution.1", 2))
    right = F.max_pool2d(x, 3, stride=2, padding=1)
    torch.testing.assert_close(layer(image), F.relu(conv_bn(torch.cat([left, right], dim=1), s, "fuse")))


def test_gather_and_expansion_at_stride_1_is_fig_5b() -> None:
    layer, x = (
        randomized(GatherExpansion(CHANNELS, CHANNELS, expansion=6, stride=1)),
        features(2, CHANNELS, 9, 11, seed=1),
    )
    s = layer.state_dict()
    expected = F.relu(conv_bn(conv_bn(F.relu(conv_bn(x, s, "gather")), s, "depthwise.0"), s, "project") + x)
    torch.testing.assert_close(layer(x), expected)


def test_gather_and_expansion_at_stride_2_is_fig_5c() -> None:
    layer, x = randomized(GatherExpansion(CHANNELS, 12, expansion=6, stride=2)), features(2, CHANNELS, 10, 12, seed=1)
    s = layer.state_dict()
    left = conv_bn(conv_bn(F.relu(conv_bn(x, s, "gather")), s, "depthwise.0", 2), s, "depthwise.1")
    right = conv_bn(conv_bn(x, s, "shortcut.0", 2), s, "shortcut.1")
    torch.testing.assert_close(layer(x), F.relu(conv_bn(left, s, "project") + right))


def test_context_embedding_is_fig_4b() -> None:
    layer, x = randomized(ContextEmbedding(CHANNELS)), features(2, CHANNELS, 5, 7, seed=1)
    s = layer.state_dict()
    context = norm(x.mean(dim=(2, 3), keepdim=True), s, "embed.0")
    expected = conv(x + F.relu(conv_bn(context, s, "embed.1")), s, "fuse")
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("size", [(8, 16), (12, 20)])
def test_guided_aggregation_is_fig_6(size) -> None:
    layer = randomized(BilateralGuidedAggregation(CHANNELS))
    detail = features(2, CHANNELS, *size, seed=1)
    semantics = features(2, CHANNELS, size[0] // 4, size[1] // 4, seed=2)
    s = layer.state_dict()

    def enlarged(x: Tensor) -> Tensor:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=False)

    kept = conv(conv_bn(detail, s, "detail_keep.0"), s, "detail_keep.1")
    fine = kept * torch.sigmoid(enlarged(conv_bn(semantics, s, "semantics_up")))
    down = F.avg_pool2d(conv_bn(detail, s, "detail_down.0", 2), 3, stride=2, padding=1)
    guide = torch.sigmoid(conv(conv_bn(semantics, s, "semantics_keep.0"), s, "semantics_keep.1"))
    expected = conv_bn(fine + enlarged(down * guide), s, "output")
    torch.testing.assert_close(layer(detail, semantics), expected)
