"""Image files, read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from bisenet_training.datasets.data_error import DataError


def read_image(path: Path, flags: int) -> np.ndarray:
    """Decodes an image with its pixels as they are stored: labels know no EXIF orientation.

    Raises:
        DataError: the file is no image, or a part of one.
    """
    # From memory, since `cv2.imread` fills with grey what a JPEG that is cut off lacks.
    data = np.frombuffer(path.read_bytes(), np.uint8)
    try:
        image = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path} ({data.size} bytes) is not a whole image; copy or download it again")
    return image
