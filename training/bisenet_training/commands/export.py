# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make a model file from a checkpoint."""

import argparse
from pathlib import Path
from typing import Any

from bisenet_training.errors import OptionError

EXTRA = "training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train`")
    add_output_arguments(parser)


def add_output_arguments(parser: argparse.ArgumentParser, *, metavar: str = "MODEL.onnx") -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar=metavar, help="the model to write")
    parser.add_argument("--weights", choices=("fp32", "fp16"), default="fp32", help="stored type; fp16 halves the file")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def require_new(output: Path, *, force: bool) -> None:
    """Raises OptionError where a file would be replaced unasked."""
    if output.exists() and not force:
        raise OptionError(f"{output} exists; add --force to replace it, or name another file with -o")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.network.checkpoint import load_checkpoint

    require_new(arguments.output, force=arguments.force)
    write_model(*load_checkpoint(arguments.checkpoint), arguments)
    return 0


def write_model(network: Any, card: Any, arguments: argparse.Namespace) -> None:
    from bisenet_training.export import export

    difference = export(network, card, arguments.output, weights=arguments.weights)
    megabytes = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {megabytes:.1f} MB, {card.name}, {len(card.classes)} classes")
    print(f"ONNX Runtime and torch differ by {difference:.1e} of the largest logit")
