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
from bisenet_ros.images.label_file import read_label_colors, read_label_file
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
    palette = (bytes(range(256))[::-1] * 3)[: 3 * 2**depth]
    colors = chunk(b"PLTE", palette) if color_type == PALETTE else b""
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


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("color_type", [GRAY, PALETTE])
def test_transparency_changes_no_ids(tmp_path, depth, color_type):
    ids = np.random.default_rng(0).integers(0, 2**depth, (7, 16), np.uint8)
    path = tmp_path / "a.png"
    save_png(path, ids, depth=depth, color_type=color_type)
    data = path.read_bytes()
    place = data.index(b"IDAT") - 4
    transparent = b"tRNS" + (b"\0\x80" if color_type == PALETTE else b"\0\1")
    chunk = (2).to_bytes(4, "big") + transparent + zlib.crc32(transparent).to_bytes(4, "big")
    path.write_bytes(data[:place] + chunk + data[place:])
    assert np.array_equal(read_label_file(path), ids)


def save_tiff(path: Path, ids: np.ndarray, *, depth: int, meaning: int) -> None:
    """By the TIFF specification: gray of a depth, from white (meaning 0) or from black (1)."""
    height, width = ids.shape
    bits = (ids[..., None] >> np.arange(depth - 1, -1, -1)) & 1
    pixels = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    values = {256: width, 257: height, 258: depth, 259: 1, 262: meaning, 273: 8, 277: 1, 278: height, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    head = b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels
    path.write_bytes(head + struct.pack("<H", len(values)) + entries + bytes(4))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("meaning", [0, 1])
def test_a_tiff_is_read_as_it_is_stored_or_refused(tmp_path, depth, meaning):
    ids = np.random.default_rng(0).integers(0, 2**depth, (8, 16), np.uint8)
    save_tiff(tmp_path / "a.tif", ids, depth=depth, meaning=meaning)
    if meaning == 1 and depth in (1, 8):
        assert np.array_equal(read_label_file(tmp_path / "a.tif"), ids)
        return
    with pytest.raises(ImageError, match=f"a.tif is a TIFF of {depth} bits, which does not keep ids"):
        read_label_file(tmp_path / "a.tif")


@pytest.mark.parametrize("wrong", [-1, 2**16, 2**31 - 1])
def test_ids_of_32_bits_are_not_cut(tmp_path, wrong):
    ids = np.array([[0, 1], [2, 300]], np.int32)
    Image.fromarray(ids).save(tmp_path / "a.tif")
    assert np.array_equal(read_label_file(tmp_path / "a.tif"), ids)
    ids[1, 1] = wrong
    Image.fromarray(ids).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"expected ids of 0 to 65535 in .*a.tif, got"):
        read_label_file(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_colors_are_no_ids(tmp_path, mode):
    Image.new(mode, (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=f"a.png to have one channel of class ids, got {mode} pixels; colors are not"):
        read_label_file(tmp_path / "a.png")


@pytest.mark.parametrize(
    "kind, mode, options",
    [("JPEG", "L", {}), ("WEBP", "RGB", {"quality": 80}), ("JPEG2000", "L", {}), ("PPM", "L", {})],
)
def test_a_format_that_changes_ids_is_refused(tmp_path, kind, mode, options):
    Image.new(mode, (8, 6)).save(tmp_path / "a.png", kind, **options)
    for read in (read_label_file, read_label_colors):
        with pytest.raises(ImageError, match=f"a.png is a {kind}, which does not keep ids as they are; save .* PNG"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("mode, read", [("L", read_label_file), ("RGB", read_label_colors)])
def test_a_tiff_is_taken_where_its_compression_keeps_ids(tmp_path, mode, read):
    stripes = Image.fromarray(np.tile(np.uint8([0, 3, 7, 200]), (16, 12))).convert(mode)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        stripes.save(tmp_path / "a.tif", compression=compression)
        assert np.array_equal(read(tmp_path / "a.tif"), np.asarray(stripes))
    stripes.save(tmp_path / "a.tif", compression="jpeg")
    with pytest.raises(ImageError, match="a.tif is a TIFF with jpeg compression, which changes ids; save .* as PNG"):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(6, 8), (6, 8, 3)], ids=["gray", "color"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colors_of_16_bits_are_refused(tmp_path, shape, suffix):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), np.full(shape, 200, np.uint16))
    with pytest.raises(ImageError, match="expected 8 bits for each channel of .*, got 16; save it with 8 bits"):
        read_label_colors(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_colors_of_a_palette_are_read(tmp_path, depth):
    ids = np.random.default_rng(0).integers(0, 2**depth, (7, 16), np.uint8)
    image = Image.fromarray(ids)
    colors = np.random.default_rng(1).integers(0, 256, (2**depth, 3), np.uint8)
    image.putpalette(colors.tobytes())
    image.save(tmp_path / "a.png", bits=depth)
    assert np.array_equal(read_label_colors(tmp_path / "a.png")[..., ::-1], colors[ids])


def test_half_a_file_and_none_are_refused(tmp_path):
    path = tmp_path / "a.png"
    save_png(path, np.zeros((60, 80), np.uint8), depth=8, color_type=GRAY)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ImageError, match="a.png: expected a PNG with an end chunk.*; copy it again"):
        read_label_file(path)
    path.write_text("text")
    with pytest.raises(ImageError, match="a.png cannot be decoded as an image .a file that begins with 74657874"):
        read_label_file(path)


@pytest.mark.parametrize("grays", [(255, 1, 0), (0, 85, 170)], ids=["in any order", "spread"])
def test_a_palette_of_other_grays_than_its_indices_is_refused(tmp_path, grays):
    """As programs that shrink PNGs make of gray ids: the ids are the grays then, and not the indices."""
    path, ids = tmp_path / "a.png", np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    image = Image.fromarray(ids, "P")
    image.putpalette([gray for gray in grays for _ in range(3)])
    image.save(path)
    with pytest.raises(ImageError, match="a.png, got a palette of grays that are not its indices, .*; save the ids"):
        read_label_file(path)
    with pytest.raises(ImageError, match="a palette that gives its indices other colors or grays.*shrink PNGs"):
        read_label_file(path, palette=False)
    assert np.array_equal(read_label_file(path, palette=True), ids)


def test_a_palette_of_colors_is_taken_where_only_its_grays_occur(tmp_path):
    """Such as a color mask that is all building, which is gray in Cityscapes."""
    path, ids = tmp_path / "a.png", np.full((3, 4), 2, np.uint8)
    image = Image.fromarray(ids, "P")
    image.putpalette([128, 64, 128, 244, 35, 232, 70, 70, 70])
    image.save(path)
    assert np.array_equal(read_label_file(path), ids)
    with pytest.raises(ImageError, match="a palette that gives its indices other colors or grays"):
        read_label_file(path, palette=False)
