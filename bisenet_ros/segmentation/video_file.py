# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Writes an MP4 video with OpenCV, whole or not at all."""

from __future__ import annotations

import math
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from bisenet_ros.files.atomic_write import KEPT_CHARACTERS
from bisenet_ros.files.file_names import check_path
from bisenet_ros.model.input_size import Size, size_text

CODEC = "mp4v"
"""MPEG-4 Part 2, which every build of OpenCV with FFmpeg has; H.264 is missing in many."""
RATE = 25.0
"""Frames a second, where the source does not say."""
FINEST_TIMES = 65535
"""The codec's times are whole parts of a second, these at most: of a rate of 66.667 it cannot have every decimal."""


class VideoFile:
    """A new MP4 file; a context manager, which leaves no file after an error.

    A last column or row of an odd number is left out, as the codec needs even sides.
    """

    def __init__(self, path: Path, *, rate: float) -> None:
        """`rate` is in frames a second; 0 for RATE. Raises BisenetError where OpenCV cannot take the path."""
        check_path(path)
        self._path, self._rate = path, _rounded(rate or RATE)
        self._unfinished = path.with_name(f"{path.stem[:KEPT_CHARACTERS]}.{os.getpid()}.partial{path.suffix}")
        _remove_left_over(path)
        self._writer: Optional[cv2.VideoWriter] = None
        self._size: Size = (0, 0)
        self._frames = 0

    def write(self, frame: np.ndarray) -> None:
        """Adds a frame, H x W x 3 uint8 BGR, all of one size; raises OSError, ValueError for another size."""
        if self._writer is None:
            self._size = frame.shape[:2]
            fourcc = cv2.VideoWriter.fourcc(*CODEC)
            self._writer = cv2.VideoWriter(str(self._unfinished), fourcc, self._rate, self._size[::-1])
            if not self._writer.isOpened():
                raise OSError(f"{self._path} cannot be written: OpenCV has no encoder {CODEC}, or may not write there")
        if frame.shape[:2] != self._size:
            raise ValueError(f"expected frames of {size_text(self._size)}, got {size_text(frame.shape)}")
        self._writer.write(frame)
        self._frames += 1

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if self._writer is not None:
            self._writer.release()
        try:
            if kind is None and self._frames:
                self._require_whole()
                self._unfinished.replace(self._path)
        finally:
            with suppress(FileNotFoundError):
                self._unfinished.unlink()

    def _require_whole(self) -> None:
        """OpenCV does not tell when it cannot write: the file does, which ends with the table of its frames."""
        video = cv2.VideoCapture(str(self._unfinished))
        written = round(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        video.release()
        if written != self._frames:
            free = shutil.disk_usage(self._path.parent).free >> 20
            raise OSError(
                f"{self._path} cannot be written: {written} of {self._frames} frames; {free} MiB are free there"
            )


def _remove_left_over(path: Path) -> None:
    """Removes what processes that were killed had written of a video."""
    name = re.compile(re.escape(path.stem[:KEPT_CHARACTERS]) + r"\.([0-9]+)\.partial" + re.escape(path.suffix))
    for file in path.parent.glob(f"*.partial{path.suffix}"):
        found = name.fullmatch(file.name)
        if found and not Path("/proc", found[1]).exists():
            file.unlink()


def _rounded(rate: float) -> float:
    """A rate with as many decimals as the codec can have, up to the three that OpenCV takes."""
    decimals = max(0, min(3, int(math.log10(FINEST_TIMES / rate))))
    return round(rate, decimals)
