# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, with aligned columns."""

from typing import Sequence


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Makes a table with aligned columns.

    Args:
        rows: the head, then the other rows; each with as many cells.

    Returns:
        The lines, without a newline behind the last one.
    """
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
