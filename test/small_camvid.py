# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Some frames of the demo's clip as a small data set in CamVid's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence, Tuple

import cv2

from demo.clip import FOLDER


def write_small_camvid(root: Path, frames: Sequence[str], *, size: Tuple[int, int]) -> Path:
    """Writes the frames, of (height, width), as the split val; returns the root."""
    for kind, ending, interpolation in (("images", "jpg", cv2.INTER_AREA), ("labels", "png", cv2.INTER_NEAREST)):
        (root / kind).mkdir()
        for name in frames:
            pixels = cv2.imread(str(FOLDER / kind / f"{name}.{ending}"), cv2.IMREAD_UNCHANGED)
            pixels = cv2.resize(pixels, size[::-1], interpolation=interpolation)
            cv2.imwrite(str(root / kind / f"{name}.{ending}"), pixels)
    (root / "val.txt").write_text("\n".join(frames))
    return root
