# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames as JPEG and color masks as PNG, as compressed topics send them."""

import io

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.errors import ImageError

JPEG_QUALITY = 80
LONGEST_JPEG_SIDE = 65500
PNG_LEVEL = 1
"""Compression level of zlib, 1 to 9: a mask is flat, and higher levels take longer to save little."""


def encode_jpeg(frame: np.ndarray, *, quality: int = JPEG_QUALITY) -> bytes:
    """H x W x 3 uint8 BGR as a JPEG; raises ImageError for a side that is longer than a JPEG's can be."""
    encoded, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        height, width = frame.shape[:2]
        expected = f"sides of at most {LONGEST_JPEG_SIDE} pixels for a JPEG"
        raise ImageError("size", f"expected {expected}, got {width} x {height}; resize it")
    return data.tobytes()


def encode_color_mask(mask: np.ndarray, color_table: np.ndarray) -> bytes:
    """H x W uint8 ids as a PNG whose palette is the color table, 256 x 3 uint8 RGB.

    Readers see RGB. With a palette it takes a tenth of the time: a byte per pixel is compressed instead of three.
    """
    picture = Image.fromarray(mask)
    picture.putpalette(color_table.tobytes())
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=PNG_LEVEL)
    return file.getvalue()
