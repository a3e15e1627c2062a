# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reports' pictures: drawn, shrunk, coded, and written into the page itself."""

import base64
import io
from typing import Dict, List, Optional, Sequence

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.images import OPACITY
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.class_map import IGNORE

LONGEST_SIDE = 480
"""Pixels of the longer side of a picture on the page."""
STRIP_SIDE = 320
"""Pixels of the longer side of the animated strip."""
STRIP_SECONDS = 0.15
"""Seconds that the strip shows a picture."""
QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 80], ".png": []}
MIME = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
DIFFERENT = (0, 0, 255)
"""BGR of a pixel that differs."""


def draw_differences(frame: np.ndarray, expected: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 BGR: the frame in pale gray, pixels that differ red, those that `expected` leaves open black.

    Args:
        expected: H x W uint8 ids: ground truth, or another mask.
    """
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) // 2 + 112
    differences = np.repeat(gray[..., None], 3, axis=2)
    differences[mask != expected] = DIFFERENT
    differences[expected == IGNORE] = 0
    return differences


def draw_overlay(frame: np.ndarray, mask: np.ndarray, color_table: np.ndarray, *, side: int) -> np.ndarray:
    """The shrunk frame, H x W x 3 uint8 BGR, with the colors of its mask laid over it."""
    return blend(shrink(frame, side=side), shrink(mask, side=side, mix=False), color_table, opacity=OPACITY)


def picture_row(
    frame: np.ndarray, mask: np.ndarray, ground_truth: Optional[np.ndarray], color_table: np.ndarray
) -> Dict[str, str]:
    """What galleries show of a frame, by title: itself, its mask, both; with ground truth also that and the errors."""
    small, small_mask = shrink(frame), shrink(mask, mix=False)
    row = {
        "frame": embed_picture(small),
        "mask": _embed_painted(small_mask, color_table),
        "overlay": embed_picture(draw_overlay(frame, mask, color_table, side=LONGEST_SIDE)),
    }
    if ground_truth is not None:
        small_truth = shrink(ground_truth, mix=False)
        row["ground truth"] = _embed_painted(small_truth, color_table)
        row["errors"] = embed_picture(draw_differences(small, small_truth, small_mask))
    return row


def disagreement_row(frame: np.ndarray, masks: Sequence[np.ndarray], color_table: np.ndarray) -> Dict[str, str]:
    """A frame, the masks A and B over it, and where they differ."""
    row = {"frame": embed_picture(shrink(frame))}
    for name, mask in zip("AB", masks):
        row[name] = embed_picture(draw_overlay(frame, mask, color_table, side=LONGEST_SIDE))
    small = [shrink(mask, mix=False) for mask in masks]
    return {**row, "differing": embed_picture(draw_differences(shrink(frame), *small))}


def shrink(pixels: np.ndarray, *, side: int = LONGEST_SIDE, mix: bool = True) -> np.ndarray:
    """Pixels shrunk to at most `side` on the longer side; without `mix`, as for masks, no new values appear."""
    scale = min(1.0, side / max(pixels.shape[:2]))
    if scale == 1:
        return pixels
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if mix else cv2.INTER_NEAREST)


def embed_picture(pixels: np.ndarray, *, kind: str = ".jpg") -> str:
    """BGR pixels as a data URL; kind ".jpg" for photographs, ".png" for flat colors."""
    return embed(cv2.imencode(kind, pixels, QUALITY[kind])[1].tobytes(), kind=kind)


def embed(data: bytes, *, kind: str) -> str:
    return f"data:{MIME[kind]};base64,{base64.b64encode(data).decode()}"


def animate(pictures: Sequence[np.ndarray]) -> bytes:
    """BGR pictures of one size as an endless animated WebP."""
    frames: List[Image.Image] = [Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)) for picture in pictures]
    file = io.BytesIO()
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=round(1000 * STRIP_SECONDS), loop=0, quality=55
    )
    return file.getvalue()


def _embed_painted(mask: np.ndarray, color_table: np.ndarray) -> str:
    return embed_picture(paint(mask, color_table[:, ::-1]), kind=".png")
