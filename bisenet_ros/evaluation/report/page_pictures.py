"""The reports' pictures: shrunk, coded, and written into the page itself."""

from __future__ import annotations

import base64
import io
from typing import List, Sequence

import cv2
import numpy as np
from PIL import Image

from bisenet_ros.model.class_map import IGNORE

LONGEST_SIDE = 480
"""Pixels of a picture on the page."""
STRIP_SIDE = 320
"""Pixels of a picture of the animated strip."""
STRIP_SECONDS = 0.15
"""How long the strip shows a picture."""
QUALITY = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 80], ".png": []}
MIME = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}
WRONG = (0, 0, 255)
"""BGR."""


def draw_errors(frame: np.ndarray, truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 BGR: the frame in pale gray, wrong pixels red, unlabeled ones black."""
    gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) // 2 + 112
    errors = np.repeat(gray[..., None], 3, axis=2)
    errors[labels != truth] = WRONG
    errors[truth == IGNORE] = 0
    return errors


def shrink(pixels: np.ndarray, *, side: int = LONGEST_SIDE, mix: bool = True) -> np.ndarray:
    """At most `side` pixels long; without `mix`, labels keep their values and colors."""
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
