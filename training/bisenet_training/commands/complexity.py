# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Count a network's parameters and GFLOPs as the paper does."""

import argparse
import json
from fractions import Fraction
from pathlib import Path

EXTRA = "training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Parameters and GFLOPs at 1024x512 with 19 classes, counted as the paper's authors do."
    parser.add_argument("--table", action="store_true", help="print the paper's tables, ours beside the paper's")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="count a recipe's network, not the default one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    network = parser.add_argument_group("the network", "what differs from the default, or from the recipe's")

    def add(flag: str, **options) -> None:
        network.add_argument(flag, default=argparse.SUPPRESS, **options)

    add("--lambda-ratio", type=_fraction, metavar="X", help="lambda, such as 1/4 or 0.25")
    add("--expansion", type=int, metavar="X", help="epsilon, default 6")
    add("--width", type=_fraction, metavar="X", help="alpha, default 1")
    add("--depth", type=int, metavar="X", help="d, default 1")
    add("--head-width", type=int, metavar="X", help="Ct, default 256; the paper leaves it open")
    add("--branches", metavar="NAME", help="both (default), detail or semantics")
    add("--backbone", metavar="NAME", help="gather_expansion (default), shufflenet_v2, mobilenet_v2 or resnet18")
    add("--aggregation", metavar="NAME", help="bga (default), sum or concat")
    add("--variant", metavar="NAME", help="paper (default) or coincheung")
    add("--without-gather", dest="gather", action="store_false", help="expand by 1x1 convolutions")
    add("--without-double-depthwise", dest="double_depthwise", action="store_false", help="one 5x5 layer for two 3x3")
    add("--without-ce", dest="context_embedding", action="store_false", help="leave the context embedding out")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.model.input_size import size_text
    from bisenet_training.analysis import complexity

    given = {key: value for key, value in vars(arguments).items() if key not in ("table", "recipe", "json")}
    options = complexity.network_options(arguments.recipe, given)
    if arguments.table:
        lines = complexity.compare_with_paper(options)
        print(json.dumps([line._asdict() for line in lines]) if arguments.json else complexity.table_text(lines))
        return 0
    params, gflops = complexity.measure(options)
    if arguments.json:
        print(json.dumps({"params": params, "gflops": round(gflops, 4), **options}))
    else:
        print(f"{params / 1e6:.2f} M parameters, {gflops:.2f} GFLOPs at {size_text(complexity.PAPER_SIZE)}")
    return 0


def _fraction(text: str) -> float:
    try:
        return float(Fraction(text))
    except (OverflowError, ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number or a fraction such as 1/4, got {text!r}") from None
