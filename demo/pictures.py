# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The demo's pictures: camera, mask and overlay side by side, and a contact sheet."""

from typing import Sequence, Tuple

import cv2
import numpy as np

from bisenet_ros.images import OPACITY
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.class_map import ClassMap

MARGIN = 12
BACKGROUND = (24, 24, 24)
TEXT_COLOR = (235, 235, 235)
LEGEND_COLUMNS = 6


def side_by_side(image: np.ndarray, mask: np.ndarray, classes: ClassMap) -> np.ndarray:
    """H x W x 3 uint8 BGR and H x W uint8 ids to H x (3 W and two gaps) x 3: camera, mask, overlay."""
    gap, table = _strip(MARGIN // 2, image.shape[0]), classes.color_table()
    overlay = blend(image, mask, table, opacity=OPACITY)
    return np.hstack([image, gap, paint(mask, table[:, ::-1]), gap, overlay])


def contact_sheet(rows: Sequence[Tuple[str, np.ndarray]], *, classes: ClassMap, title: str, line: str) -> np.ndarray:
    """A sheet of captioned rows under a title and a line of text, above the colors of the classes."""
    width = rows[0][1].shape[1] + 2 * MARGIN
    head = _strip(width, 118)
    _write(head, title, (MARGIN, 42), scale=0.9)
    _write(head, line, (MARGIN, 68))
    for i, heading in enumerate(("camera", "/segmentation/mask", "overlay")):
        _write(head, heading, (MARGIN + i * (width // 3), 106), scale=0.65)
    return np.vstack([head, *(_captioned(picture, caption) for caption, picture in rows), _legend(classes, width)])


def _strip(width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, np.uint8)


def _write(picture: np.ndarray, text: str, place: Tuple[int, int], *, scale: float = 0.55) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, TEXT_COLOR, 1, cv2.LINE_AA)


def _captioned(picture: np.ndarray, caption: str) -> np.ndarray:
    """A copy with a margin, and the caption at its lower left."""
    picture = cv2.copyMakeBorder(picture, 0, MARGIN // 2, MARGIN, MARGIN, cv2.BORDER_CONSTANT, value=BACKGROUND)
    bottom = picture.shape[0] - 2 * MARGIN
    (width, height), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    cv2.rectangle(picture, (MARGIN + 4, bottom - height - 6), (MARGIN + 16 + width, bottom + 6), BACKGROUND, -1)
    _write(picture, caption, (MARGIN + 10, bottom))
    return picture


def _legend(classes: ClassMap, width: int) -> np.ndarray:
    strip = _strip(width, 34 * -(-len(classes) // LEGEND_COLUMNS) + 10)
    for i, segmentation_class in enumerate(classes):
        row, column = divmod(i, LEGEND_COLUMNS)
        x, y = MARGIN + column * (width // LEGEND_COLUMNS), 10 + 34 * row
        cv2.rectangle(strip, (x, y), (x + 30, y + 20), segmentation_class.color[::-1], -1)
        _write(strip, segmentation_class.name, (x + 40, y + 16))
    return strip
