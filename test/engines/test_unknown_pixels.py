# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Ignore masks, the threshold of the confidence, and the confidence of cells."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bisenet_ros.engines.unknown_pixels import check_size, hide_unknown, read_ignore_mask
from bisenet_ros.errors import ImageError

HOOD = np.zeros((4, 6), np.uint8)
HOOD[3] = 1
HOOD[2, 1:3] = 200


def palette_picture() -> Image.Image:
    """Its first color is white, so that what is ignored has the index 0."""
    picture = Image.fromarray(np.where(HOOD, 0, 1).astype(np.uint8), "P")
    picture.putpalette([255, 255, 255, 0, 0, 0])
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(HOOD),
        Image.fromarray(HOOD > 0),
        Image.fromarray(np.dstack([np.zeros_like(HOOD), HOOD, np.zeros_like(HOOD)])),
        Image.fromarray(np.dstack([HOOD, HOOD, HOOD, np.full_like(HOOD, 255)])),
        palette_picture(),
    ],
    ids=["gray", "1 bit", "color", "opaque", "palette"],
)
def test_what_is_not_black_is_ignored(tmp_path, picture):
    picture.save(tmp_path / "hood.png")
    ignored = read_ignore_mask(tmp_path / "hood.png")
    assert ignored.dtype == np.uint8 and np.array_equal(ignored, np.where(HOOD, 255, 0))


@pytest.mark.parametrize(
    "name, pixels, message",
    [
        ("hood.jpg", HOOD, "hood.jpg is a JPEG, which does not keep ids as they are; save label files as PNG"),
        ("clear.png", np.dstack([HOOD] * 4), "clear.png has 24 pixels that are not opaque"),
        ("none.png", np.zeros_like(HOOD), "expected black in .*none.png where .* white where not; all of it is black"),
        ("all.png", np.ones_like(HOOD), "all.png where .*; nothing of it is black"),
    ],
)
def test_files_that_are_no_ignore_mask(tmp_path, name, pixels, message):
    Image.fromarray(pixels).save(tmp_path / name)
    with pytest.raises(ImageError, match=message):
        read_ignore_mask(tmp_path / name)


def test_a_text_and_a_missing_file_are_no_ignore_mask(tmp_path):
    (tmp_path / "hood.png").write_text("a hood")
    with pytest.raises(ImageError, match="hood.png cannot be decoded as an image"):
        read_ignore_mask(tmp_path / "hood.png")
    with pytest.raises(ImageError, match="expected an ignore mask at .*no_hood.png, found no file"):
        read_ignore_mask(tmp_path / "no_hood.png")


def test_another_size_is_refused_with_both_sizes():
    check_size(HOOD, (4, 6), name="--ignore-mask")
    message = "mask of the size of road.jpg, 8x4, got one of 6x4 as --ignore-mask; make one of 8x4"
    with pytest.raises(ImageError, match=message):
        check_size(HOOD, (4, 8), name="--ignore-mask", image="road.jpg")


@pytest.mark.parametrize("least", [0.0, 0.001, 0.25, 0.5, 0.6, 0.998, 1.0])
def test_pixels_below_the_threshold_are_unknown(least):
    confidence = np.arange(256, dtype=np.uint8).reshape(16, 16)
    mask = np.full((16, 16), 3, np.uint8)
    hidden, certain = hide_unknown(mask, confidence, min_confidence=least)
    assert np.array_equal(hidden, np.where(confidence / 255 < least, 255, 3))
    assert np.array_equal(certain, confidence) and (mask == 3).all()


def test_ignored_pixels_are_unknown_and_have_no_confidence():
    rng = np.random.default_rng(0)
    mask, confidence = rng.integers(0, 11, (4, 6), np.uint8), rng.integers(1, 256, (4, 6), np.uint8)
    ignored = np.where(HOOD, 255, 0).astype(np.uint8)
    hidden, certain = hide_unknown(mask, confidence, ignored=ignored, min_confidence=0.5)
    assert np.array_equal(hidden, np.where((HOOD > 0) | (confidence < 128), 255, mask))
    assert np.array_equal(certain, np.where(HOOD, 0, confidence))
    hidden, certain = hide_unknown(mask, None, ignored=ignored, min_confidence=0.5)
    assert np.array_equal(hidden, np.where(HOOD, 255, mask)) and certain is None
