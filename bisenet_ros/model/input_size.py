# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The size at which a frame enters the network, and sizes as people write them."""

import math
import re
from typing import Sequence, Tuple

from bisenet_ros.errors import BisenetError

STRIDE = 8
"""The network's logits are 1/8 of its input."""
COARSEST_STRIDE = 32
"""The semantics branch's last features are 1/32 of the network's input."""
SMALLEST_SIDE = COARSEST_STRIDE
"""Pixels; below it the network's 1/32 features would be smaller than one."""
LONGEST_SIDE = 8192
"""Pixels; a larger side is a mistake."""

Size = Tuple[int, int]
"""(height, width) in pixels, as NumPy has it; people write WIDTHxHEIGHT."""
WIDTH_BY_HEIGHT = re.compile(r"(\d{1,5})x(\d{1,5})")

CARD, HALF, FULL = "card", "half", "full"
"""Names of network sizes: as many pixels as the card's, half of the frame's sides (the paper's Cityscapes), or all."""


class SizeError(BisenetError):
    """A size that is not written as WIDTHxHEIGHT, or is too small or too large."""


def network_size(height: int, width: int, *, trained: Size, choice: str = CARD) -> Size:
    """The (height, width) that a frame of height x width is resized to for the network.

    The frame keeps its shape and is shrunk or enlarged to as many pixels as the size has that was chosen. Both sides
    are rounded to multiples of 32, so that the features of every stride lie on each other, and limited to what the
    network and memory allow. A frame of the shape of a size that was stated needs only multiples of 8, as the network
    is trained at that size.

    Args:
        trained: the card's `network_size`.
        choice: CARD: `trained`; HALF or FULL of the frame's sides; or another size as WIDTHxHEIGHT.
    """
    fixed = {CARD: trained, HALF: (height / 2, width / 2), FULL: (height, width)}
    wanted = fixed.get(choice) or parse_size(choice)
    is_stated = choice not in (HALF, FULL) and height * wanted[1] == width * wanted[0]
    step = STRIDE if is_stated else COARSEST_STRIDE
    pixels = wanted[0] * wanted[1]
    scale = math.sqrt(pixels / (height * width))
    longest = max(SMALLEST_SIDE, pixels // SMALLEST_SIDE)

    def fit(side: int) -> int:
        return step * round(min(max(side * scale, SMALLEST_SIDE), longest) / step)

    return fit(height), fit(width)


def check_size_choice(choice: str) -> None:
    """Raises SizeError for what is no `choice` of `network_size`."""
    if choice in (CARD, HALF, FULL):
        return
    if not WIDTH_BY_HEIGHT.fullmatch(choice):
        raise SizeError(
            f"expected {CARD}, {HALF}, {FULL} or WIDTHxHEIGHT in pixels, such as 1024x512, as network size, "
            f"got {choice!r}"
        )
    parse_size(choice)


def describe_size_choice(choice: str, *, trained: Size) -> str:
    """A `choice` of `network_size` as text, such as "480x360 (card)"."""
    names = {CARD: f"{size_text(trained)} (card)", HALF: "half of the frame's", FULL: "the frame's"}
    return names.get(choice, choice)


def parse_size(text: str) -> Size:
    """(height, width) of "WIDTHxHEIGHT".

    Raises:
        SizeError: it is something else, or too small or large.
    """
    match = WIDTH_BY_HEIGHT.fullmatch(text)
    if not match:
        raise SizeError(f"expected a size as WIDTHxHEIGHT in pixels, such as 2048x1024, got {text!r}")
    width, height = map(int, match.groups())
    if not SMALLEST_SIDE <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
        raise SizeError(f"expected a size of {SMALLEST_SIDE} to {LONGEST_SIDE} pixels a side, got {text}")
    return height, width


def size_text(size: Sequence[int]) -> str:
    """WIDTHxHEIGHT of (height, width); of an image's shape too."""
    return f"{size[1]}x{size[0]}"
