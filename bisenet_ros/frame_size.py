"""A frame's size as people write it."""

from __future__ import annotations

import re
from typing import Sequence, Tuple

from bisenet_ros.engines.engine import SMALLEST_SIDE
from bisenet_ros.model_card import LONGEST_SIDE


def parse_size(text: str) -> Tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT".

    Raises:
        ValueError: it is something else, or too small or large.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if not match:
        raise ValueError(f"expected a size as WIDTHxHEIGHT in pixels, such as 2048x1024, got {text!r}")
    width, height = map(int, match.groups())
    if not SMALLEST_SIDE <= min(width, height) <= max(width, height) <= LONGEST_SIDE:
        raise ValueError(f"expected a size of {SMALLEST_SIDE} to {LONGEST_SIDE} pixels a side, got {text}")
    return height, width


def size_text(size: Sequence[int]) -> str:
    """WIDTHxHEIGHT of (height, width); of an image's shape too."""
    return f"{size[1]}x{size[0]}"
