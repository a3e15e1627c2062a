# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters and GFLOPs in the paper's convention, of one network or of the paper's tables."""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping, NamedTuple

import torch
from torch import Tensor, nn

from bisenet_ros.errors import BisenetError
from bisenet_ros.network.bisenetv2 import DEFAULTS, BiSeNetV2
from bisenet_training.analysis.paper_tables import PAPER_GFLOPS, ROWS, Row
from bisenet_training.trainer.recipe_file import load_recipe

PAPER_SIZE = (512, 1024)
"""Height and width of the network's input for Cityscapes."""
PAPER_CLASSES = 19


def network_options(recipe: Path | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of BiSeNetV2 without boosters: those given, else the recipe's, else the defaults."""
    of_any_data = ["data.dataset=any", "data.root=."]
    stated = asdict(load_recipe(recipe, of_any_data).network) if recipe else {}
    return {**DEFAULTS, **stated, **given, "boosters": ()}


class Line(NamedTuple):
    """A row of a table; `difference` is to the default network, of ours and of the paper's."""

    table: str
    change: str
    params: int | None = None
    gflops: float | None = None
    difference: float | None = None
    paper_gflops: float | None = None
    paper_difference: float | None = None
    note: str = ""


def compare_with_paper(options: dict[str, Any]) -> list[Line]:
    """The rows of the paper's tables, each a change of the network with these options."""
    default = measure(options)[1]
    return [_line(row, options, default) for row in ROWS]


def _line(row: Row, options: dict[str, Any], default: float) -> Line:
    paper_difference = None if row.gflops is None else round(row.gflops - PAPER_GFLOPS, 2)
    line = Line(row.table, row.change, paper_gflops=row.gflops, paper_difference=paper_difference)
    try:
        params, gflops = measure({**options, **row.options})
    except BisenetError as error:  # torchvision, which Table 6's networks need, is not installed
        return line._replace(note=str(error))
    return line._replace(params=params, gflops=round(gflops, 4), difference=round(gflops - default, 4))


def table_text(lines: list[Line]) -> str:
    """The rows for people, in columns."""

    def number(value: float | None, form: str) -> str:
        return f"{'' if value is None else format(value, form):>9}"

    text = [f"{'table':<7}{'network':<28}{'M params':>9}{'GFLOPs':>9}{'paper':>9}{'diff.':>9}{'paper':>9}"]
    for line in lines:
        params = None if line.params is None else line.params / 1e6
        figures = [number(params, ".2f"), number(line.gflops, ".2f"), number(line.paper_gflops, ".2f")]
        figures += [number(line.difference, "+.2f"), number(line.paper_difference, "+.2f")]
        text.append(f"{line.table:<7}{line.change:<28}{line.note or ''.join(figures)}")
    text.append(
        "Compare the differences to the default network (diff.): the paper leaves the head open. In the rows of alpha"
    )
    text.append(
        "the head changes with the network, so that its share is in the difference. The paper's GFLOPs are those of its"
    )
    text.append("published tables; its text has none.")
    return "\n".join(text)


def measure(options: dict[str, Any]) -> tuple[int, float]:
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
