# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Label files: ids as they are stored, at every depth that a PNG can have."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bisenet_ros.errors import ImageError
from bisenet_ros.images.label_file import read_label_file
from demo.clip import FOLDER, frame_ids

GRAY, PALETTE = 0, 3


def save_png(path: Path, ids: np.ndarray, *, depth: int, color_type: int) -> None:
    """By the PNG specification, as no library writes every depth."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = ids.shape
    bits = (ids[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    pixels = b"".join(b"\0" + row.tobytes() for row in rows)
    colors = chunk(b"PLTE", bytes(range(256))[::-1] * 3) if color_type == PALETTE else b""
    if color_type == PALETTE and depth < 8:
        colors = chunk(b"PLTE", bytes(3 * 2**depth))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0))
        + colors
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "depth, color_type",
    [(1, GRAY), (2, GRAY), (4, GRAY), (8, GRAY), (1, PALETTE), (2, PALETTE), (4, PALETTE), (8, PALETTE)],
)
@pytest.mark.parametrize("width", [16, 19])
def test_ids_are_as_they_are_stored(tmp_path, depth, color_type, width):
    ids = np.random.default_rng(0).integers(0, 2**depth, (7, width), np.uint8)
    save_png(tmp_path / "a.png", ids, depth=depth, color_type=color_type)
    found = read_label_file(tmp_path / "a.png")
    assert found.dtype == np.uint8 and np.array_equal(found, ids)


def test_16_bits(tmp_path):
    ids = np.random.default_rng(0).integers(0, 2**16, (7, 9), np.uint16)
    save_png(tmp_path / "a.png", ids, depth=16, color_type=GRAY)
    found = read_label_file(tmp_path / "a.png")
    assert found.dtype == np.uint16 and np.array_equal(found, ids)
    save_png(tmp_path / "a.png", ids % 256, depth=16, color_type=GRAY)
    found = read_label_file(tmp_path / "a.png")
    assert found.dtype == np.uint8 and np.array_equal(found, ids % 256)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_files_of_other_programs(tmp_path, suffix):
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), ids)
    assert np.array_equal(read_label_file(tmp_path / f"a{suffix}"), ids)
    Image.fromarray(ids > 100).save(tmp_path / "b.png")  # 1 bit
    assert np.array_equal(read_label_file(tmp_path / "b.png"), ids > 100)


def test_the_clip_s_label_files_are_what_opencv_reads():
    path = FOLDER / "labels" / f"{frame_ids()[0]}.png"
    assert np.array_equal(read_label_file(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colors_are_no_ids(tmp_path, mode):
    Image.new(mode, (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"a.png to have one channel of class ids, got {mode} pixels; colors are not"):
        read_label_file(tmp_path / "a.png")


def test_a_jpeg_is_refused(tmp_path):
    Image.new("L", (8, 6)).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="a.jpg is a JPEG, whose compression changes ids; save label files as PNG"):
        read_label_file(tmp_path / "a.jpg")


def test_half_a_file_and_none_are_refused(tmp_path):
    path = tmp_path / "a.png"
    save_png(path, np.zeros((60, 80), np.uint8), depth=8, color_type=GRAY)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match="a.png: expected a PNG with an end chunk.*; copy it again"):
        read_label_file(path)
    path.write_text("text")
    with pytest.raises(ImageError, match="a.png cannot be decoded as an image .a file that begins with 74657874"):
        read_label_file(path)
