# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Unknown pixels: what an ignore mask covers, and what the network is not sure of. They are 255 in a mask."""

import math
from pathlib import Path
from typing import Optional, Tuple

import numpy as np

from bisenet_ros.errors import ImageError
from bisenet_ros.images.label_file import read_label_colors
from bisenet_ros.model.class_map import IGNORE
from bisenet_ros.model.input_size import Size, size_text


def read_ignore_mask(path: Path) -> np.ndarray:
    """An ignore mask: what a camera sees of its own vehicle, such as the hood or a mirror.

    Args:
        path: a PNG in gray or color; what is not black is ignored.

    Returns:
        H x W uint8, IGNORE where a pixel is ignored, else 0.

    Raises:
        ImageError: the file is missing, is no image, is of a format that changes pixels (JPEG), is partly transparent,
            or ignores all pixels or none.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise ImageError("data", f"expected an ignore mask at {path}, found no file; give the path of a PNG")
    is_ignored = read_label_colors(path).any(axis=2)
    share = is_ignored.mean()
    if share in (0, 1):
        found = "all of it is black" if share == 0 else "nothing of it is black"
        raise ImageError(
            "data", f"expected black in {path} where the image is to be segmented, and white where not; {found}"
        )
    return np.where(is_ignored, IGNORE, 0).astype(np.uint8)


def check_size(ignored: np.ndarray, size: Size, *, name: str, image: str = "the image") -> None:
    """Raises ImageError where an ignore mask has another size than an image, (height, width).

    Args:
        name, image: what the mask and the image are called.
    """
    if ignored.shape != size:
        raise ImageError(
            "ignore_mask",
            f"expected an ignore mask of the size of {image}, {size_text(size)}, got one of {size_text(ignored.shape)} "
            f"as {name}; make one of {size_text(size)}",
        )


def hide_unknown(
    mask: np.ndarray,
    confidence: Optional[np.ndarray],
    *,
    ignored: Optional[np.ndarray] = None,
    min_confidence: float = 0.0,
) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """A mask with IGNORE in its unknown pixels, and the confidence with 0 in those that are ignored.

    Args:
        mask, confidence: as `Engine.segment` returns them, which are left as they are; without a confidence,
            `min_confidence` has no effect.
        ignored: as `read_ignore_mask` returns it.
        min_confidence: 0 to 1; pixels below it are unknown.
    """
    if min_confidence > 0 and confidence is not None:
        unsure = confidence < math.ceil(255 * min_confidence)
        mask = mask | unsure * np.uint8(IGNORE)
    if ignored is not None:
        mask = mask | ignored
        confidence = confidence if confidence is None else confidence & ~ignored
    return mask, confidence
