# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages of commands on the terminal; no command itself, as its name begins with an underscore."""

import sys


def print_error(text: str) -> None:
    print(f"bisenet: error: {printable(text)}", file=sys.stderr)


def print_warning(text: str) -> None:
    print(f"bisenet: warning: {printable(text)}", file=sys.stderr)


def printable(text: str) -> str:
    """A text with escapes for control characters, by which the names in a bag could change what the terminal shows."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
