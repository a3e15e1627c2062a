"""Parameters and GFLOPs in the paper's convention."""

from __future__ import annotations

import argparse
import json
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.bisenetv2 import AGGREGATIONS

PAPER_SIZE = (512, 1024)
"""Height and width of the network's input for Cityscapes."""
PAPER_CLASSES = 19


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Parameters and GFLOPs at 1024x512 with 19 classes, counted as the paper's authors do."
    parser.add_argument(
        "--lambda-ratio", type=_fraction, default=1 / 4, metavar="X", help="lambda, such as 1/4 or 0.25"
    )
    parser.add_argument("--expansion", type=int, default=6, metavar="X", help="epsilon, default 6")
    parser.add_argument("--width", type=_fraction, default=1.0, metavar="X", help="alpha, default 1")
    parser.add_argument("--depth", type=int, default=1, metavar="X", help="d, default 1")
    parser.add_argument(
        "--head-width", type=int, default=256, metavar="X", help="Ct, default 256; the paper leaves it open"
    )
    parser.add_argument("--aggregation", choices=sorted(AGGREGATIONS), default="bga")
    parser.add_argument("--without-ce", action="store_true", help="leave the context embedding out")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    options = dict(
        lambda_ratio=arguments.lambda_ratio,
        expansion=arguments.expansion,
        width=arguments.width,
        depth=arguments.depth,
        head_width=arguments.head_width,
        aggregation=arguments.aggregation,
        context_embedding=not arguments.without_ce,
    )
    network = BiSeNetV2(classes=PAPER_CLASSES, **options)
    params = sum(parameter.numel() for parameter in network.parameters())
    gflops = count_flops(network, *PAPER_SIZE) / 1e9
    if arguments.json:
        print(json.dumps({"params": params, "gflops": round(gflops, 4), **options}))
    else:
        print(f"{params / 1e6:.2f} M parameters, {gflops:.2f} GFLOPs at {PAPER_SIZE[1]}x{PAPER_SIZE[0]}")
    return 0


def _fraction(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number or a fraction such as 1/4, got {text!r}") from None


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
