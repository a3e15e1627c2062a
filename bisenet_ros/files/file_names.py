# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Names of files: their order, what must not be in them, and how they are shown."""

import re
from pathlib import Path
from typing import Iterable, List

from bisenet_ros.errors import BisenetError


def natural_order(paths: Iterable[Path]) -> List[Path]:
    """Sorted by name, with numbers by value: 2 before 10."""
    return sorted(
        paths, key=lambda path: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
    )


def is_utf8(text: str) -> bool:
    """Whether a text, such as the name of a file, can be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def check_path(path: Path, *, forbidden: str = "") -> None:
    """Raises BisenetError where a path is not UTF-8, which libraries need, or has one of some characters."""
    text = str(path.absolute())
    wrong = [character for character in text if character in forbidden or not is_utf8(character)]
    if wrong:
        kind = f"without any of {' '.join(forbidden)}" if wrong[0] in forbidden else "in UTF-8"
        raise BisenetError(f"expected a path {kind}, got {text!r}; choose another name")


def printable(text: str) -> str:
    """A text with escapes for control characters, by which the names in a bag could change what the terminal shows."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
