"""Parameters and GFLOPs in the paper's convention."""

from __future__ import annotations

import argparse
import json
from typing import Any, Dict

import torch
from torch import Tensor, nn

from bisenet_ros.network import BiSeNetV2

PAPER_SIZE = (512, 1024)
PAPER_CLASSES = 19


def count_flops(network: nn.Module, height: int, width: int) -> int:
    """Operations of one 1 x 3 x height x width image, counted as the paper's authors do.

    A convolution counts each multiply-add once, and its bias; batch normalisation twice its elements; ReLU and
    pooling once; interpolation, sums and products nothing.
    """
    total = 0

    def add(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            multiply_adds = module.weight[0].numel() + (module.bias is not None)
            total += output.numel() * multiply_adds
        elif isinstance(module, nn.BatchNorm2d):
            total += 2 * output.numel()
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            total += inputs[0].numel()
        elif isinstance(module, (nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)):
            total += output.numel()

    hooks = [module.register_forward_hook(add) for module in network.modules()]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, height, width))
    finally:
        for hook in hooks:
            hook.remove()
    return total
