# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""labelme's JSON files: one beside each image, with polygons, rectangles, circles and masks."""

import base64
import io
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any, Iterator, Mapping

import cv2
import numpy as np
from PIL import Image

from bisenet_training.errors import DataError
from bisenet_training.label_imports.labeled_image import FARTHEST, LabeledImage, read_json, read_size

FRACTION_BITS = 4
"""Fractional bits of the coordinates that OpenCV draws; labelme writes them as fractions of a pixel."""
FEWEST_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}


def read_labelme(folder: Path, images: Path | None = None) -> Iterator[LabeledImage]:
    """The images of a folder's JSON files.

    Args:
        images: the folder of the images; None: as the JSON files say, from where they lie.

    Raises:
        DataError: a file is none of labelme's, or its image is not there.
    """
    for path in sorted(folder.glob("*.json")):
        entries = read_json(path)
        try:
            size = read_size(entries, "imageHeight", "imageWidth", source=path)
            image = (images or path.parent) / _relative(entries["imagePath"], flat=images is not None)
            shapes = [dict(shape) for shape in entries["shapes"]]
            labels = frozenset(str(shape["label"]) for shape in shapes)
        except DataError:  # a ValueError too
            raise
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(
                f"{path} is not of labelme, whose files have imagePath, imageHeight, imageWidth and shapes with a label"
            ) from None
        yield LabeledImage(image, path, labels, partial(_draw, path, shapes, size))


def _relative(path: str, *, flat: bool) -> str:
    """labelme writes the path as its system does, with backslashes on Windows."""
    windows = PureWindowsPath(path)
    return windows.name if flat else windows.as_posix()


def _draw(path: Path, shapes: list[Any], size: tuple[int, int], ids: Mapping[str, int], outside: int) -> np.ndarray:
    target = np.full(size, outside, np.uint8)
    for shape in shapes:
        label = str(shape["label"])
        kind, points = _kind_and_points(shape, source=f"{path}: {label!r}")
        if kind == "mask":
            _draw_mask(target, points, ids[label], mask=shape.get("mask"), source=f"{path}: the mask of {label!r}")
        else:
            _draw_outline(target, kind, points, ids[label])
    return target


def _kind_and_points(shape: Mapping[str, Any], *, source: str) -> tuple[str, np.ndarray]:
    """What a shape is, and its N x 2 float points; raises DataError, beginning with `source`, if it has no area."""
    kind = shape.get("shape_type") or "polygon"
    if not isinstance(kind, str) or kind not in FEWEST_POINTS:
        raise DataError(f"{source} is a {kind}, which has no area; draw it as a polygon or a mask")
    try:
        points = np.array(shape.get("points"), float).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{source}, a {kind}, must have pairs of numbers as points; draw it again") from None
    if len(points) < FEWEST_POINTS[kind]:
        raise DataError(f"{source}, a {kind}, needs {FEWEST_POINTS[kind]} points, got {len(points)}")
    if not (np.abs(points) <= FARTHEST).all():  # also where one is NaN
        raise DataError(f"{source}, a {kind}, has a point more than {FARTHEST} pixels away; draw it again")
    return kind, points


def _draw_outline(target: np.ndarray, kind: str, points: np.ndarray, value: int) -> None:
    if kind == "rectangle":  # two opposite corners; tools that write labelme's files write all four
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    fixed = np.round(points * 2**FRACTION_BITS).astype(np.int32)
    if kind == "circle":  # its center, and a point on it
        radius = round(float(np.hypot(*(points[1] - points[0]))) * 2**FRACTION_BITS)
        cv2.circle(target, fixed[0].tolist(), radius, value, cv2.FILLED, shift=FRACTION_BITS)
    else:
        cv2.fillPoly(target, [fixed], value, shift=FRACTION_BITS)


def _draw_mask(target: np.ndarray, points: np.ndarray, value: int, *, mask: Any, source: str) -> None:
    """Draws a mask, a PNG in base64, into the box of two points, the last one included."""
    (left, top), (right, bottom) = points[:2].astype(int)
    box = target[top : bottom + 1, left : right + 1]
    try:
        if min(left, top) < 0:
            raise ValueError("it begins outside of the image")
        inside = np.array(Image.open(io.BytesIO(base64.b64decode(mask)))).astype(bool)
        box[inside] = value
    except (OSError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{source} cannot be read or does not fit its box ({error}); draw it again") from None
