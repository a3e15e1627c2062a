"""The driving clip that the demo and the tests replay; its origin is in clip/README.md."""

from __future__ import annotations

from pathlib import Path
from typing import List

import cv2
import numpy as np

FOLDER = Path(__file__).parent / "clip"
RATE = 15.0
"""Frames a second, as the camera recorded them."""


def frame_ids() -> List[str]:
    """The ids of the frames, in order."""
    return (FOLDER / "frames.txt").read_text().split()


def read_image(frame_id: str) -> np.ndarray:
    """360 x 480 x 3 uint8 BGR."""
    return _read(FOLDER / "images" / f"{frame_id}.jpg", cv2.IMREAD_COLOR)


def read_truth(frame_id: str) -> np.ndarray:
    """360 x 480 uint8 ids, 255 where there is no label."""
    return _read(FOLDER / "labels" / f"{frame_id}.png", cv2.IMREAD_UNCHANGED)


def _read(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise FileNotFoundError(f"expected an image of the demo's clip at {path}; fetch the whole repository again")
    return image
