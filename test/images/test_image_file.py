# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Image files: pixels as they are stored, whatever the name, and nothing of half a file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from bisenet_ros.errors import ImageError
from bisenet_ros.images.image_file import (
    ORIENTATION_TAG,
    image_files,
    list_images,
    other_files,
    read_image,
    read_image_bytes,
    read_orientation,
)
from demo.clip import FOLDER, frame_ids

JPEG = FOLDER / "images" / f"{frame_ids()[0]}.jpg"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def test_a_jpeg_is_what_opencv_decodes():
    assert np.array_equal(read_image(JPEG), cv2.imread(str(JPEG)))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm"])
def test_lossless_formats_give_their_pixels(tmp_path, pixels, suffix):
    cv2.imwrite(str(tmp_path / f"a{suffix}"), pixels)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}"), pixels)


def test_other_pixels_become_bgr_of_8_bits(tmp_path, pixels):
    path = tmp_path / "a.png"
    for stored, expected in (
        (pixels[..., 0], cv2.merge([pixels[..., 0]] * 3)),
        (np.dstack([pixels, pixels[..., :1]]), pixels),
        (pixels.astype(np.uint16) * 256 + 7, pixels),
    ):
        cv2.imwrite(str(path), stored)
        assert np.array_equal(read_image(path), expected)


@pytest.mark.parametrize("name", [b"stra\xdfe.png", "stra\u00dfe \u8def.png".encode(), b"no suffix", b"is a png.jpg"])
def test_a_file_may_have_any_name(tmp_path, pixels, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    assert np.array_equal(read_image(path), pixels)


@pytest.mark.parametrize("source", ["jpeg", "png"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_half_a_file_is_refused(tmp_path, pixels, source, share):
    data = JPEG.read_bytes() if source == "jpeg" else cv2.imencode(".png", pixels)[1].tobytes()
    path = tmp_path / "half.jpg"
    path.write_bytes(data[: int(share * len(data))])
    for read in (read_image, read_image_bytes):
        with pytest.raises(ImageError, match="half.jpg: expected a (JPEG|PNG) .*; copy it again"):
            read(path)


@pytest.mark.parametrize("suffix", [".bmp", ".tif", ".webp", ".ppm", ".jp2"])
def test_half_a_file_of_another_format_is_refused(tmp_path, pixels, suffix):
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    path = tmp_path / f"half{suffix}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="cannot be decoded as an image"):
        read_image(path)


@pytest.mark.parametrize(
    "content, kind",
    [(b"", "an empty file"), (b"<html>", "an HTML or XML page"), (b"%PDF-1.7", "a PDF"), (b"no", "begins with 6e6f")],
)
def test_what_is_no_image_is_told_by_what_it_is(tmp_path, content, kind, capfd):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=f"a.png cannot be decoded as an image .*{kind}"):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr().err == "", "OpenCV is silent"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_refused(tmp_path, kind):
    path = tmp_path / "a.png"
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(ImageError, match="expected an image file at .*a.png, found a folder or a pipe"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_a_header_that_claims_too_many_pixels_is_not_believed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.new("1", (20000, 10000)).save(path, **({"compression": "group4"} if suffix == ".tif" else {}))
    with pytest.raises(ImageError, match=rf"a{suffix} is too large: Image size \(200000000 pixels\) exceeds limit"):
        read_image(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


def save_with_orientation(path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(JPEG).save(path, quality=95, exif=exif)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_turns_nothing(tmp_path, suffix, orientation):
    path, upright = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    save_with_orientation(path, orientation)
    save_with_orientation(upright, 1)
    assert np.array_equal(read_image(path), read_image(upright))
    assert read_orientation(path) == orientation


def test_a_folder_s_images_are_listed_by_name(tmp_path):
    for name in ("b.PNG", "a.jpeg", "c.txt", "._a.jpeg", ".hidden.png"):
        (tmp_path / name).touch()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpeg", "b.PNG"]
    assert other_files(tmp_path) == ["c.txt"]
    with pytest.raises(ImageError, match="expected images .* found none"):
        list_images(tmp_path / "none")


def test_an_image_error_reaches_another_process_whole():
    """As from a loader process, or from one of several that segment bags."""
    error = pickle.loads(pickle.dumps(ImageError("size", "expected more")))
    assert (str(error), error.reason) == ("expected more", "size")


def test_float_pixels_are_told_from_a_damaged_file(tmp_path):
    Image.fromarray(np.ones((4, 6), np.float32)).save(tmp_path / "depth.tif")
    with pytest.raises(ImageError, match="expected an image of 8 or 16 bits, .*depth.tif has float pixels"):
        read_image(tmp_path / "depth.tif")


def test_a_tiff_whose_colors_opencv_would_mix_with_black_is_refused(tmp_path):
    path = tmp_path / "picture.tif"
    Image.new("RGBA", (6, 4), (200, 100, 50, 255)).save(path)
    assert np.array_equal(read_image(path)[0, 0], (50, 100, 200))
    Image.new("RGBA", (6, 4), (200, 100, 50, 128)).save(path)
    with pytest.raises(ImageError, match="expected a TIFF whose pixels are opaque, .*picture.tif has others"):
        read_image(path)


def test_a_tiff_that_would_be_turned_is_refused(tmp_path):
    for orientation in (1, 6):
        Image.new("RGB", (6, 4)).save(tmp_path / f"{orientation}.tif", tiffinfo={ORIENTATION_TAG: orientation})
    assert read_image(tmp_path / "1.tif").shape == (4, 6, 3)
    with pytest.raises(ImageError, match="6.tif has the orientation 6; save it without that tag"):
        read_image(tmp_path / "6.tif")


def test_a_folder_that_may_not_be_listed_is_not_taken_as_empty(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may read everything
    with pytest.raises(PermissionError, match="may not be read: permission denied; change its permissions or owner"):
        image_files(tmp_path)
