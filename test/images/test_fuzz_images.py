# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Thousands of random, mostly invalid images: each gives a frame or an ImageError, in bounded time and memory.

Where there is ROS, the fields go through real messages.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator

import numpy as np
import pytest
from hypothesis import given
from random_images import Picture, RawImage, fuzz, pictures, raw_images

from bisenet_ros.images.encodings import (
    MAX_COMPRESSED_PIXELS,
    ImageError,
    decode_compressed,
    decode_image,
)

try:
    from sensor_msgs.msg import CompressedImage, Image

    from bisenet_ros.node.image_messages import read_frame
except ModuleNotFoundError:
    Image = None

REASONS = ("encoding", "size", "step", "data", "format")
MEMORY = 600
"""MiB that the largest picture allowed, twice over, and what decoding it takes stay below."""


def read_raw(fields: Dict[str, Any]) -> np.ndarray:
    if Image is None:
        return decode_image(**fields)
    message = Image(**{name: value for name, value in fields.items() if name != "data"})
    message.data.frombytes(fields["data"])
    return read_frame(message)


def read_picture(picture: Picture) -> np.ndarray:
    if Image is None:
        return decode_compressed(format=picture.format, data=picture.data)
    message = CompressedImage(format=picture.format)
    message.data.frombytes(picture.data)
    return read_frame(message)


def assert_error_is_explained(error: ImageError) -> None:
    assert error.reason in REASONS
    assert str(error).startswith("expected ")
    assert len(str(error)) < 600


def peak_memory() -> float:
    """Of this process, in MiB."""
    [kibibytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kibibytes) / 1024


@pytest.fixture(autouse=True)
def memory_stays_bounded() -> Iterator[None]:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is used now
        before = peak_memory()
    yield
    assert sys.platform != "linux" or peak_memory() - before < MEMORY


def test_any_raw_image_gives_a_frame_or_an_image_error() -> None:
    outcomes: Counter = Counter()

    @fuzz(2500)
    @given(raw_images())
    def read(image: RawImage) -> None:
        try:
            frame = read_raw(image.fields)
        except ImageError as error:
            assert_error_is_explained(error)
            assert not image.is_valid
            outcomes[error.reason] += 1
            return
        assert frame.shape == (image.fields["height"], image.fields["width"], 3)
        assert frame.dtype == np.uint8
        outcomes["frame"] += 1

    read()
    assert min(outcomes[name] for name in ("frame", "encoding", "size", "step", "data")) > 50


def test_any_compressed_image_gives_a_frame_or_an_image_error() -> None:
    outcomes: Counter = Counter()

    @fuzz(2500)
    @given(pictures())
    def read(picture: Picture) -> None:
        try:
            frame = read_picture(picture)
        except ImageError as error:
            assert_error_is_explained(error)
            assert not picture.is_valid
            outcomes[error.reason] += 1
            return
        assert frame.dtype == np.uint8
        assert frame.ndim == 3 and frame.shape[2] == 3
        assert 0 < frame.shape[0] * frame.shape[1] <= MAX_COMPRESSED_PIXELS
        if picture.is_valid:
            assert frame.shape[:2] == picture.size
        outcomes["frame"] += 1

    read()
    assert min(outcomes[name] for name in ("frame", "data", "size", "format")) > 50
