# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Image files: read whole or not at all, whatever their names are.

The bytes are read by Python, so that names need not be UTF-8, and decoded in memory. Pixels stay as they are stored: an
EXIF orientation tag does not turn them, as it does not turn a camera's CompressedImage, so that a mask has the camera's
geometry. Label files must have the same geometry.
"""

import io
import warnings
from pathlib import Path
from typing import List

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.errors import ImageError
from bisenet_ros.files.file_content import describe_bytes
from bisenet_ros.files.permissions import require_readable
from bisenet_ros.images.compressed_headers import read_header
from bisenet_ros.images.encodings import decode_picture

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

UNSUPPORTED_MODES = {"F": "float", "I": "32-bit"}
"""Kinds of pixels that are not read, as text, by Pillow's names."""
OPAQUE = 255
ORIENTATION_TAG = 0x0112
"""EXIF's number for the orientation."""

warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of damaged metadata, file by file
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # half as many pixels as are refused


def image_files(folder: Path) -> List[Path]:
    """The image files of a folder, by their suffixes, in the order of their names. Hidden files are none.

    Raises PermissionError where the folder may not be listed.
    """
    require_readable(folder)
    return sorted(
        path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def list_images(folder: Path) -> List[Path]:
    """The image files of a folder; raises ImageError where there are none, PermissionError as `image_files`."""
    paths = image_files(folder)
    if not paths:
        raise ImageError("data", f"expected images ({', '.join(IMAGE_SUFFIXES)}) in {folder.absolute()}, found none")
    return paths


def other_files(folder: Path) -> List[str]:
    """The names of what else is in a folder, such as videos and folders, sorted. Hidden files are left out."""
    others = {*folder.glob("*")} - {*image_files(folder)}
    return sorted(path.name for path in others if not path.name.startswith("."))


def read_image(path: Path) -> np.ndarray:
    """An image file as H x W x 3 uint8 BGR; of 16 bits the upper 8, of gray three equal channels, without alpha.

    Raises:
        ImageError: the file is no image, or a part of one.
        OSError: the file cannot be read.
    """
    return decode_image_file(path, read_image_bytes(path))


def decode_image_file(path: Path, data: bytes) -> np.ndarray:
    """The content of an image file as `read_image` returns it; raises ImageError, which names the path."""
    silence_opencv()
    image = decode_picture(data, cv2.IMREAD_COLOR)
    if image is not None:
        return image
    mode = _pixel_mode(data)
    if mode in UNSUPPORTED_MODES:
        raise ImageError("format", f"expected an image of 8 or 16 bits, {path} has {UNSUPPORTED_MODES[mode]} pixels")
    raise ImageError("data", f"{path} cannot be decoded as an image ({describe_bytes(data)}); copy it again")


def read_image_bytes(path: Path) -> bytes:
    """The content of an image file. Of a JPEG or PNG it is known that all of it is there.

    Raises:
        ImageError: the JPEG or PNG is truncated or damaged, the picture has more pixels than Pillow opens, or it is a
            TIFF that OpenCV and Pillow would turn, or that has translucent pixels.
        OSError: the file cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ImageError("data", f"expected an image file at {path}, found a folder or a pipe")
    data = path.read_bytes()
    try:
        read_header(data)
    except ImageError as error:
        raise ImageError(error.reason, f"{path}: {error}; copy it again") from None
    try:
        with Image.open(io.BytesIO(data)) as image:
            is_tiff = image.format == "TIFF"
            orientation = image.getexif().get(ORIENTATION_TAG, 1) if is_tiff else 1
            is_translucent = is_tiff and "A" in image.mode and np.asarray(image.getchannel("A")).min() < OPAQUE
    except Image.DecompressionBombError as error:  # a few bytes can declare any size
        raise ImageError("size", f"{path} is too large: {str(error).partition(',')[0]}") from None
    except (OSError, SyntaxError, ValueError):  # decoding it tells what it is
        return data
    if orientation != 1:
        words = f"expected a TIFF as it is shown, {path} has the orientation {orientation}"
        raise ImageError("format", f"{words}; save it without that tag")
    if is_translucent:  # OpenCV mixes the colors of a TIFF with black by their alpha
        raise ImageError("format", f"expected a TIFF whose pixels are opaque, {path} has others; save it without alpha")
    return data


def _pixel_mode(data: bytes) -> str:
    """Pillow's name for the kind of pixels; "" where Pillow cannot read the image either."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.mode
    except (OSError, SyntaxError, ValueError):
        return ""


def read_orientation(path: Path) -> int:
    """The EXIF orientation tag of an image file, 1 (upright) to 8; 1 where there is none. It turns no pixels."""
    try:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return int(image.getexif().get(ORIENTATION_TAG, 1))
    except (OSError, SyntaxError, ValueError):  # Pillow cannot read the file, or the tag is damaged
        return 1


def silence_opencv() -> None:
    """Turns OpenCV's log off, for good: our own errors name the file."""
    if hasattr(cv2, "setLogLevel"):  # OpenCV 4
        cv2.setLogLevel(0)
    elif hasattr(cv2, "utils") and hasattr(cv2.utils, "logging"):  # OpenCV 5
        cv2.utils.logging.setLogLevel(0)
