"""Files that are there whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Raises OSError; then the file is as it was."""
    unfinished = path.with_name(f"{path.name}.partial")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def write_json(path: Path, values: Any) -> None:
    """Raises OSError; then the file is as it was."""
    write_text(path, json.dumps(values, indent=1) + "\n")
