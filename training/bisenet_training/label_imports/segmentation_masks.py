# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""CVAT's "Segmentation mask" export: `labelmap.txt`, and `SegmentationClass/` with a PNG of colors for each image."""

from functools import cache, partial
from pathlib import Path
from typing import Iterator, Mapping

import numpy as np

from bisenet_ros.files.permissions import require_readable
from bisenet_ros.images.image_file import image_files
from bisenet_ros.images.label_file import read_label_colors
from bisenet_training.data.label_encoding import Color, ColorEncoding
from bisenet_training.errors import DataError
from bisenet_training.label_imports.labeled_image import LabeledImage

LABEL_MAP, MASKS, IMAGES = "labelmap.txt", "SegmentationClass", "JPEGImages"
UNLABELED = "background"
"""CVAT's label of pixels in which nobody has drawn anything."""


def read_segmentation_masks(folder: Path, images: Path | None = None) -> Iterator[LabeledImage]:
    """The images of the export.

    Args:
        images: the folder of the images; None: `JPEGImages` of the export, which it has if images were saved too.

    Raises:
        DataError: `labelmap.txt` cannot be read, or an image is not there.
        PermissionError: a folder may not be listed.
    """
    colors = _read_label_map(folder / LABEL_MAP)
    labels = frozenset(colors) - {UNLABELED}
    masks = folder / MASKS
    require_readable(masks, *filter(Path.is_dir, masks.rglob("*")))
    images_by_stem = cache(_images_by_stem)  # lists every folder once
    for path in sorted(masks.rglob("*.png")):
        place = (images or folder / IMAGES) / path.relative_to(masks).parent
        image = images_by_stem(place).get(path.stem)
        if image is None:
            raise DataError(
                f"expected the image of {path} at {place / path.stem}.*, found none; name the folder with --images"
            )
        yield LabeledImage(image, path, labels, partial(_draw, path, colors))


def _images_by_stem(folder: Path) -> dict[str, Path]:
    """The image files of a folder by their names without suffix; of equal ones the first."""
    return {path.stem: path for path in reversed(image_files(folder))}


def _read_label_map(path: Path) -> dict[str, Color]:
    """The colors by label. A line is `label:r,g,b:parts:actions`, a comment begins with #."""
    colors: dict[str, Color] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"expected text in UTF-8 in {path}, got bytes that are none: {error}; save it as UTF-8"
        ) from None
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        try:
            label, color = line.split(":")[:2]
            red, green, blue = map(int, color.split(","))
            bytes((red, green, blue))  # each is 0 to 255
        except ValueError:
            raise DataError(
                f"expected lines such as road:128,64,128::, with colors of 0 to 255, in {path}, got {line!r}"
            ) from None
        if label in colors or (red, green, blue) in colors.values():
            raise DataError(f"{path} has the label or the color of {line!r} twice; give each label a color of its own")
        colors[label] = red, green, blue
    return colors


def _draw(path: Path, colors: Mapping[str, Color], ids: Mapping[str, int], outside: int) -> np.ndarray:
    train_ids = {color: outside if label == UNLABELED else ids[label] for label, color in colors.items()}
    try:
        return ColorEncoding({(0, 0, 0): outside, **train_ids}).decode(read_label_colors(path))
    except DataError as error:
        raise DataError(f"{path} {error}") from None
