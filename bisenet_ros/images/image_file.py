# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Image files: read whole or not at all, whatever their names are.

The bytes are read by Python, so that names need not be UTF-8, and decoded in memory. Pixels stay as they are stored: an
EXIF orientation tag does not turn them, as it does not turn a camera's CompressedImage, so that a mask has the camera's
geometry. Label files must have the same geometry.
"""

import io
from pathlib import Path
from typing import List

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.errors import ImageError
from bisenet_ros.files.file_content import describe_bytes
from bisenet_ros.images.compressed_headers import read_header
from bisenet_ros.images.encodings import decode_picture

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

ORIENTATION_TAG = 0x0112
"""EXIF's number for the orientation."""


def list_images(folder: Path) -> List[Path]:
    """The image files of a folder in the order of their names.

    Raises:
        ImageError: there are none.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ImageError("data", f"expected images ({', '.join(IMAGE_SUFFIXES)}) in {folder.absolute()}, found none")
    return paths


def read_image(path: Path) -> np.ndarray:
    """An image file as H x W x 3 uint8 BGR; of 16 bits the upper 8, of gray three equal channels, without alpha.

    Raises:
        ImageError: the file is no image, or a part of one.
        OSError: the file cannot be read.
    """
    _silence_opencv()
    data = read_image_bytes(path)
    image = decode_picture(data, cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError("data", f"{path} cannot be decoded as an image ({describe_bytes(data)}); copy it again")
    return image


def read_image_bytes(path: Path) -> bytes:
    """The content of an image file. Of a JPEG or PNG it is known that all of it is there.

    Raises:
        ImageError: the JPEG or PNG is truncated or damaged.
        OSError: the file cannot be read.
    """
    data = path.read_bytes()
    try:
        read_header(data)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}: {error}; copy it again") from None
    return data


def read_orientation(path: Path) -> int:
    """The EXIF orientation tag of an image file, 1 (upright) to 8; 1 where there is none. It turns no pixels."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return int(image.getexif().get(ORIENTATION_TAG, 1))
    except (OSError, SyntaxError, ValueError):  # Pillow cannot read the file, or the tag is damaged
        return 1


def _silence_opencv() -> None:
    """Turns OpenCV's log off, for good: our own errors name the file."""
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):  # OpenCV 5
        cv2.utils.logging.setLogLevel(0)
