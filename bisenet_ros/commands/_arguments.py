# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Arguments that several commands have; no command itself, as its name begins with an underscore."""

import argparse
import math
from typing import Callable, Sequence, Tuple

from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.engines.precision import PRECISIONS
from bisenet_ros.model.input_size import CARD


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --device, --precision and --network-size, as the node's parameters of these names."""
    parser.add_argument("--device", choices=DEVICES, default="auto", help="where the network runs, default auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="its number format, default auto")
    add_network_size(parser)


def add_network_size(parser: argparse.ArgumentParser) -> None:
    """Adds --network-size."""
    resized = "of frames for the network: card (default: as many pixels as the model's card says), half, full or "
    parser.add_argument("--network-size", default=CARD, metavar="SIZE", help=f"{resized}WIDTHxHEIGHT")


def list_of(choices: Sequence[str], *, always: Sequence[str] = ()) -> Callable[[str], Tuple[str, ...]]:
    """A parser of names with commas between them: some of the choices, in the order of the choices.

    Args:
        choices: the names that are allowed.
        always: those that are among them even if they are not named.
    """

    def parse(text: str) -> Tuple[str, ...]:
        names = [name.strip() for name in text.split(",")]
        unknown = [name for name in names if name not in choices]
        if unknown:
            raise argparse.ArgumentTypeError(f"expected some of {','.join(choices)}, got {unknown[0]!r}")
        return tuple(name for name in choices if name in (*always, *names))

    return parse


def number(is_allowed: Callable[[float], bool], *, expected: str) -> Callable[[str], float]:
    """A parser of a number.

    Args:
        is_allowed: whether a number is; false of NaN, which stands for other text.
        expected: which numbers are, as text.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not is_allowed(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse
