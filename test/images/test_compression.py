# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What compressed topics send, as their readers decode it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from camvid_classes import CAMVID

from bisenet_ros.errors import ImageError
from bisenet_ros.images.colors import paint
from bisenet_ros.images.compression import encode_color_mask, encode_jpeg
from bisenet_ros.images.encodings import decode_compressed

TABLE = CAMVID.color_table()


def test_a_color_mask_is_sent_without_loss() -> None:
    mask = np.random.default_rng(0).integers(0, 256, (37, 51), np.uint8)
    before = mask.copy()
    decoded = decode_compressed(format="rgb8; png compressed bgr8", data=encode_color_mask(mask, TABLE))
    np.testing.assert_array_equal(decoded[:, :, ::-1], paint(mask, TABLE))
    np.testing.assert_array_equal(mask, before)


def test_a_mask_of_streets_takes_a_fraction_of_its_pixels() -> None:
    mask = np.repeat(np.arange(10, dtype=np.uint8), 20)[:, None].repeat(300, axis=1)
    assert len(encode_color_mask(mask, TABLE)) < mask.size / 40


def test_a_frame_is_sent_as_jpeg() -> None:
    frame = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8), (0, 0), 5)
    data = encode_jpeg(frame)
    assert data.startswith(b"\xff\xd8\xff") and len(data) < frame.size / 5
    decoded = decode_compressed(format="bgr8; jpeg compressed bgr8", data=data)
    assert np.abs(decoded.astype(int) - frame).mean() < 4


def test_a_side_that_no_jpeg_has_is_refused() -> None:
    with pytest.raises(ImageError, match="expected sides of at most 65500 pixels for a JPEG, got 65501 x 2; resize it"):
        encode_jpeg(np.zeros((2, 65501, 3), np.uint8))
