# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The driving clip that the demo and the tests replay; its origin is in clip/README.md."""

from pathlib import Path
from typing import List

import numpy as np

from bisenet_ros.images import image_file, label_file

FOLDER = Path(__file__).parent / "clip"
RATE = 15.0
"""Frames a second, as the camera recorded them."""


def frame_ids() -> List[str]:
    """The ids of the frames, in order."""
    return (FOLDER / "frames.txt").read_text().split()


def read_image(frame_id: str) -> np.ndarray:
    """360 x 480 x 3 uint8 BGR."""
    return image_file.read_image(FOLDER / "images" / f"{frame_id}.jpg")


def read_ground_truth(frame_id: str) -> np.ndarray:
    """360 x 480 uint8 ids, 255 where there is no label."""
    return label_file.read_label_file(FOLDER / "labels" / f"{frame_id}.png")
