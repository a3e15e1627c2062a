"""The demo's pictures: camera, mask and overlay side by side, and a contact sheet."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import cv2
import numpy as np

from bisenet_ros.images.colors import paint
from bisenet_ros.model.class_map import ClassMap

OVERLAY_OPACITY = 0.5
MARGIN = 12
BACKGROUND = (24, 24, 24)
TEXT_COLOR = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def side_by_side(image: np.ndarray, mask: np.ndarray, classes: ClassMap) -> np.ndarray:
    """H x W x 3 uint8 BGR and H x W uint8 ids to H x (3 W and two gaps) x 3: camera, mask, overlay."""
    colors = np.ascontiguousarray(paint(mask, classes.color_table())[..., ::-1])
    overlay = cv2.addWeighted(image, 1 - OVERLAY_OPACITY, colors, OVERLAY_OPACITY, 0)
    gap = np.full((image.shape[0], MARGIN // 2, 3), BACKGROUND, np.uint8)
    return np.hstack([image, gap, colors, gap, overlay])


def contact_sheet(
    rows: Sequence[Tuple[str, np.ndarray]], *, classes: ClassMap, title: str, lines: Sequence[str]
) -> np.ndarray:
    """A sheet of captioned rows under a title and some lines of text, above the colors of the classes."""
    width = rows[0][1].shape[1] + 2 * MARGIN
    parts: List[np.ndarray] = [_text(title, width, scale=0.9, height=52)]
    parts += [_text(line, width, scale=0.55, height=26) for line in lines]
    parts.append(_headings(("camera", "/segmentation/mask", "overlay"), width))
    for caption, picture in rows:
        parts.append(_with_margin(_captioned(picture, caption)))
    parts.append(_legend(classes, width))
    return np.vstack(parts)


def _strip(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _text(text: str, width: int, *, scale: float, height: int) -> np.ndarray:
    strip = _strip(width, height)
    cv2.putText(strip, text, (MARGIN, height - 10), FONT, scale, TEXT_COLOR, 1, cv2.LINE_AA)
    return strip


def _headings(headings: Sequence[str], width: int) -> np.ndarray:
    strip = _strip(width, 40)
    for i, heading in enumerate(headings):
        cv2.putText(strip, heading, (MARGIN + i * (width // len(headings)), 28), FONT, 0.65, TEXT_COLOR, 1, cv2.LINE_AA)
    return strip


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    picture = picture.copy()
    (width, height), _ = cv2.getTextSize(caption, FONT, 0.55, 1)
    bottom = picture.shape[0] - 12
    cv2.rectangle(picture, (4, bottom - height - 6), (16 + width, bottom + 6), BACKGROUND, -1)
    cv2.putText(picture, caption, (10, bottom), FONT, 0.55, TEXT_COLOR, 1, cv2.LINE_AA)
    return picture


def _with_margin(picture: np.ndarray) -> np.ndarray:
    return cv2.copyMakeBorder(picture, 0, MARGIN // 2, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND)


def _legend(classes: ClassMap, width: int) -> np.ndarray:
    columns = 6
    strip = _strip(width, 34 * -(-len(classes) // columns) + 10)
    for i, segmentation_class in enumerate(classes):
        x, y = MARGIN + (i % columns) * (width // columns), 10 + 34 * (i // columns)
        cv2.rectangle(strip, (x, y), (x + 30, y + 20), segmentation_class.color[::-1], -1)
        cv2.putText(strip, segmentation_class.name, (x + 40, y + 16), FONT, 0.55, TEXT_COLOR, 1, cv2.LINE_AA)
    return strip
