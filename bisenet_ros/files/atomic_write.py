# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all: written under another name, then renamed."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPEN_FILES = tuple(map(Path, ("/dev", "/dev/fd", "/proc/self/fd")))
"""Folders of devices and of what this process has open, such as /dev/stdout, which may lead to a regular file."""
PARTIAL = ".partial"
"""The suffix of files that are not whole yet."""
KEPT_CHARACTERS = 40
"""Of a file's name, in its name until it is whole: 160 bytes at most, of the 255 that file systems take."""


def partial_of(path: Path) -> Path:
    """Where a file is until it is whole: another place at each call, since several may write one file."""
    return path.with_name(f"{path.name[:KEPT_CHARACTERS]}.{uuid4().hex}{PARTIAL}")


def remove_partial(folder: Path) -> None:
    """Removes what killed processes had begun to write in a folder, in which no other may write now: see `lock_folder`.

    Raises OSError.
    """
    for unfinished in folder.glob(f"*{PARTIAL}"):
        if re.fullmatch(r".*\.[0-9a-f]{32}", unfinished.stem, re.DOTALL):  # one of `partial_of`
            unfinished.unlink()


def is_written_in_place(path: Path) -> bool:
    """Whether it is a device, a pipe or a file that is open already, which no other file may replace."""
    return path.parent in OPEN_FILES or path.is_fifo() or path.is_char_device()


def write_text(path: Path, text: str) -> None:
    """Writes text as UTF-8; raises OSError, and the file is as it was."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes, *, private: bool = False, durable: bool = False) -> None:
    """Writes a file: another one that replaces it, or itself where `is_written_in_place`.

    Args:
        private: only the user may read it.
        durable: wait until it is on the disk: the power may fail at any time.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    if is_written_in_place(path):
        path.write_bytes(data)
        return
    unfinished = partial_of(path)
    mode = 0o600 if private else 0o666
    try:
        with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say of which file
        raise
    finally:
        with suppress(OSError):  # where it is whole, it is renamed already
            unfinished.unlink()


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes pixels, H x W (x 3, BGR) uint8, as a PNG; raises OSError, and the file is as it was."""
    import cv2  # here, since the engines write files too, and need no OpenCV

    encoded, data = cv2.imencode(".png", pixels)
    if not encoded:
        raise OSError(f"{path} cannot be written: OpenCV does not make a PNG of {pixels.dtype} {pixels.shape}")
    write_bytes(path, data.tobytes())


def write_figure(path: Path, figure: Figure, **options: Any) -> None:
    """Writes a plot as a PNG; raises OSError, and the file is as it was.

    `options` are those of matplotlib's `savefig`.
    """
    drawn = BytesIO()
    figure.savefig(drawn, format="png", **options)
    write_bytes(path, drawn.getvalue())


def write_json(path: Path, values: Any) -> None:
    """Writes values as JSON; raises OSError, and the file is as it was."""
    write_text(path, json.dumps(values, indent=1) + "\n")
