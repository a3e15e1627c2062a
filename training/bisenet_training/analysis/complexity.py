"""Parameters and GFLOPs in the paper's convention, of one network or of the paper's tables."""

from __future__ import annotations

import argparse
import copy
import inspect
import json
from fractions import Fraction
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from bisenet_ros.model.input_size import size_text
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.bisenetv2 import CHOICES
from bisenet_training.analysis.paper_tables import PAPER_GFLOPS, ROWS, Row
from bisenet_training.trainer.recipe import as_dict, load_recipe

PAPER_SIZE = (512, 1024)
"""Height and width of the network's input for Cityscapes."""
PAPER_CLASSES = 19
DEFAULTS = {
    name: parameter.default for name, parameter in inspect.signature(BiSeNetV2).parameters.items() if name != "classes"
}
"""The network of the paper, as arguments of BiSeNetV2."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Parameters and GFLOPs at 1024x512 with 19 classes, counted as the paper's authors do."
    parser.add_argument("--table", action="store_true", help="print the paper's tables, ours beside the paper's")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="count a recipe's network, not the default one")
    parser.add_argument("--json", action="store_true", help="print JSON")
    network = parser.add_argument_group("the network", "what differs from the default, or from the recipe's")
    add = network.add_argument
    missing = argparse.SUPPRESS
    add("--lambda-ratio", type=_fraction, default=missing, metavar="X", help="lambda, such as 1/4 or 0.25")
    add("--expansion", type=int, default=missing, metavar="X", help="epsilon, default 6")
    add("--width", type=_fraction, default=missing, metavar="X", help="alpha, default 1")
    add("--depth", type=int, default=missing, metavar="X", help="d, default 1")
    add("--head-width", type=int, default=missing, metavar="X", help="Ct, default 256; the paper leaves it open")
    for name, choices in CHOICES.items():
        add(f"--{name}", choices=choices, default=missing, help=f"default {DEFAULTS[name]}")
    for name, flag, without in (
        ("gather", "--without-gather", "expand by 1x1 convolutions"),
        ("double_depthwise", "--without-double-depthwise", "one 5x5 depthwise convolution for two of 3x3"),
        ("context_embedding", "--without-ce", "leave the context embedding out"),
    ):
        add(flag, dest=name, action="store_false", default=missing, help=without)


def run(arguments: argparse.Namespace) -> int:
    options = _options(arguments)
    if arguments.table:
        default = measure(options)[1]
        lines = [_line(row, options, default) for row in ROWS]
        print(json.dumps([line._asdict() for line in lines]) if arguments.json else _as_text(lines))
        return 0
    params, gflops = measure(options)
    if arguments.json:
        print(json.dumps({"params": params, "gflops": round(gflops, 4), **options}))
    else:
        print(f"{params / 1e6:.2f} M parameters, {gflops:.2f} GFLOPs at {size_text(PAPER_SIZE)}")
    return 0


def _options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """The arguments of BiSeNetV2: the defaults, the recipe's over them, the command line's over those."""
    recipe = load_recipe(arguments.recipe, ["data.root=."]) if arguments.recipe else None
    stated = as_dict(recipe)["network"] if recipe else {}
    given = {name: value for name, value in vars(arguments).items() if name in DEFAULTS}
    return {**DEFAULTS, **stated, **given, "boosters": ()}


def _fraction(text: str) -> float:
    try:
        return float(Fraction(text))
    except (ValueError, ZeroDivisionError):
        raise argparse.ArgumentTypeError(f"expected a number or a fraction such as 1/4, got {text!r}") from None


class Line(NamedTuple):
    """A row of a table; `difference` is to the default network, of ours and of the paper's."""

    table: str
    change: str
    params: Optional[int] = None
    gflops: Optional[float] = None
    difference: Optional[float] = None
    paper_gflops: Optional[float] = None
    paper_difference: Optional[float] = None
    paper_checked: bool = False
    note: str = ""


def _line(row: Row, options: Dict[str, Any], default: float) -> Line:
    line = Line(row.table, row.change, paper_gflops=row.gflops, paper_checked=row.checked)
    if row.gflops is not None:
        line = line._replace(paper_difference=round(row.gflops - PAPER_GFLOPS, 2))
    try:
        params, gflops = measure({**options, **row.options})
    except ValueError as error:
        return line._replace(note=str(error))
    return line._replace(params=params, gflops=round(gflops, 4), difference=round(gflops - default, 4))


def _as_text(lines: List[Line]) -> str:
    def number(value: Optional[float], form: str) -> str:
        return f"{'' if value is None else format(value, form):>9}"

    text = [f"{'table':<7}{'network':<28}{'M params':>9}{'GFLOPs':>9}{'paper':>9}{'diff.':>9}{'paper':>9}"]
    for line in lines:
        params = None if line.params is None else line.params / 1e6
        figures = [number(params, ".2f"), number(line.gflops, ".2f"), number(line.paper_gflops, ".2f")]
        figures += [number(line.difference, "+.2f"), number(line.paper_difference, "+.2f")]
        mark = " *" if line.paper_gflops and not line.paper_checked else ""
        text.append(f"{line.table:<7}{line.change:<28}{line.note or ''.join(figures) + mark}")
    text.append("Compare the differences to the default network (diff.): the paper leaves the head open.")
    text.append("* quoted from memory: look the figure up before you rely on it.")
    return "\n".join(text)


def measure(options: Dict[str, Any]) -> Tuple[int, float]:
    """Parameters and GFLOPs of BiSeNetV2 with these arguments, at the paper's size and number of classes."""
    with torch.device("meta"):
        network = BiSeNetV2(classes=PAPER_CLASSES, **options)
    params = sum(parameter.numel() for parameter in network.parameters())
    return params, count_flops(network, *PAPER_SIZE) / 1e9


def count_flops(network: nn.Module, height: int, width: int) -> int:
    """Operations of one 1 x 3 x height x width image, counted as the paper's authors do; nothing is computed.

    A convolution counts each multiply-add once, and its bias; batch normalization twice its elements; ReLU and
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
        elif isinstance(module, (nn.ReLU, nn.ReLU6, nn.MaxPool2d, nn.AvgPool2d)):
            total += output.numel()

    shapes_only = copy.deepcopy(network).to("meta").eval()
    for module in shapes_only.modules():
        module.register_forward_hook(add)
    with torch.no_grad():
        shapes_only(torch.zeros(1, 3, height, width, device="meta"))
    return total
