"""Image files, read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from bisenet_training.data.data_error import DataError


def silence_opencv() -> None:
    """Turns OpenCV's log off, for good: what cannot be decoded is told by our own errors, which name the file."""
    # OpenCV 4 has it at the top, OpenCV 5 below.
    set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
    set_level(0)


def read_image(path: Path, flags: int) -> np.ndarray:
    """Decodes an image with its pixels as they are stored: labels know no EXIF orientation.

    Raises:
        DataError: the file is no image, or a part of one.
    """
    silence_opencv()
    # From memory, since `cv2.imread` fills with gray what a JPEG that is cut off lacks.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path} ({data.size} bytes) is not a whole image; copy or download it again")
    return image
