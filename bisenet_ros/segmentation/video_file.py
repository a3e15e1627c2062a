# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Writes an MP4 video with OpenCV, whole or not at all."""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Optional

import cv2
import numpy as np

from bisenet_ros.files.file_names import check_path
from bisenet_ros.files.result_folder import remove_left_over, unfinished_folder
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
        self._path = path.absolute()  # FFmpeg takes what is before a colon in a relative path as a protocol
        self._rate = _rounded(rate or RATE)
        self._cleanup = ExitStack()
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
        remove_left_over(self._path)
        self._unfinished = self._cleanup.enter_context(unfinished_folder(self._path))
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        with self._cleanup:
            if self._writer is not None:
                self._writer.release()
            if kind is None and self._frames:
                self._require_whole()
                self._unfinished.replace(self._path)

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


def _rounded(rate: float) -> float:
    """A rate with as many decimals as the codec can have, up to the three that OpenCV takes."""
    decimals = max(0, min(3, int(math.log10(FINEST_TIMES / rate))))
    return round(rate, decimals)
