"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def partial_of(path: Path) -> Path:
    """Where a file lies until it is whole; each process has a place of its own, since several may write one file."""
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def write_text(path: Path, text: str) -> None:
    """Raises OSError; then the file is as it was."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Raises OSError; then the file is as it was."""
    unfinished = partial_of(path)
    unfinished.write_bytes(data)
    unfinished.replace(path)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """H x W (x 3, BGR) uint8; raises OSError; then the file is as it was."""
    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise OSError(f"{path} cannot be written: OpenCV does not make a PNG of {pixels.dtype} {pixels.shape}")
    write_bytes(path, data.tobytes())


def write_json(path: Path, values: Any) -> None:
    """Raises OSError; then the file is as it was."""
    write_text(path, json.dumps(values, indent=1) + "\n")
