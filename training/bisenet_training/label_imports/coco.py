# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""COCO's JSON with polygons and run-length masks, as CVAT, Label Studio and others export it."""

from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import Any, Iterator, Mapping

import numpy as np

from bisenet_training.errors import DataError
from bisenet_training.label_imports.labeled_image import FARTHEST, LabeledImage, read_json, read_size

FEWEST_NUMBERS = 6
"""Fewest numbers of a polygon: x and y of three points."""


def read_coco(path: Path, images: Path | None = None) -> Iterator[LabeledImage]:
    """The images of a COCO file, with their annotations in the file's order.

    Args:
        images: the folder that the names of the images are below; None: `images` beside the file's own folder, as in
            CVAT's export, or else the file's own folder.

    Raises:
        DataError: the file is none of COCO's, has an id twice, or has annotations of images that it does not list.
    """
    entries = read_json(path)
    try:
        names = {category["id"]: str(category["name"]) for category in entries["categories"]}
        annotations: dict[int, list[tuple[str, Any]]] = defaultdict(list)
        for annotation in entries["annotations"]:
            annotations[annotation["image_id"]].append((names[annotation["category_id"]], annotation["segmentation"]))
        found = [
            (entry["id"], str(entry["file_name"]), read_size(entry, "height", "width", source=path))
            for entry in entries["images"]
        ]
        _require_distinct(path, "categories", [category["id"] for category in entries["categories"]])
        _require_distinct(path, "images", [number for number, _, _ in found])
    except DataError:  # a ValueError too
        raise
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path} is not a COCO file of segmentations, which has images, categories, and annotations with "
            f"image_id, category_id and segmentation; {error} is missing or unknown"
        ) from None
    unlisted = set(annotations) - {number for number, _, _ in found}
    if unlisted:
        count = sum(len(annotations[number]) for number in unlisted)
        raise DataError(
            f"{path}: {count} annotations are of {len(unlisted)} images that the file does not list, such as image_id "
            f"{min(unlisted, key=str)!r}; export it again with all its images"
        )
    folders = [images] if images else _image_folders(path)
    for number, name, size in found:
        regions = annotations[number]
        labels = frozenset(label for label, _ in regions)
        image = next((folder / name for folder in folders if (folder / name).is_file()), folders[0] / name)
        yield LabeledImage(image, path, labels, partial(_draw, path, name, regions, size))


def _image_folders(path: Path) -> list[Path]:
    """Where the images of a COCO file may lie: CVAT has them in `images/SUBSET` beside `annotations`."""
    beside = path.parent.parent / "images"
    return [beside, beside / path.stem.replace("instances_", "", 1)] if beside.is_dir() else [path.parent]


def _require_distinct(path: Path, what: str, numbers: list[Any]) -> None:
    """Raises DataError where several categories or images have one id."""
    for number, count in Counter(numbers).most_common(1):
        if count > 1:
            raise DataError(
                f"{path}: {count} {what} have the id {number!r}, as in files that were joined, so that it is not known "
                "whose annotations are whose; make a data set of each file"
            )


def _draw(
    path: Path,
    name: str,
    regions: list[tuple[str, Any]],
    size: tuple[int, int],
    ids: Mapping[str, int],
    outside: int,
) -> np.ndarray:
    target = np.full(size, outside, np.uint8)
    for label, segmentation in regions:
        try:
            target[_decode(segmentation, size)] = ids[label]
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(f"{path}: a segmentation of {label!r} in {name} cannot be read: {error}") from None
    return target


def _decode(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """Draws a segmentation as H x W bool: polygons, or run lengths as a list or as COCO's text."""
    from pycocotools import mask

    height, width = size
    if isinstance(segmentation, list):
        if not segmentation or min(map(len, segmentation)) < FEWEST_NUMBERS:
            raise ValueError("it must be polygons of three points or more, or a mask; a box alone has no outline")
        _check_polygons(segmentation)
        return mask.decode(mask.merge(mask.frPyObjects(segmentation, height, width))).astype(bool)
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"its mask is {segmentation['size']}, the image [{height}, {width}]")
    counts = segmentation["counts"]
    if isinstance(counts, str):
        counts = _read_run_lengths(counts)
    _check_run_lengths(counts, pixels=height * width)
    return mask.decode(mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)).astype(bool)


def _check_polygons(polygons: list[Any]) -> None:
    """Raises ValueError for what the library draws wrongly, or does not survive."""
    for polygon in polygons:
        if len(polygon) % 2:
            raise ValueError(f"it must have an x and a y of every point, got {len(polygon)} numbers")
        if not (np.abs(np.array(polygon, float)) <= FARTHEST).all():  # also where one is NaN
            raise ValueError(f"it has a point more than {FARTHEST} pixels away")


def _read_run_lengths(text: str) -> list[int]:
    """The run lengths of COCO's text, in which the fourth and later ones are differences from the one two before.

    Each character after "0" has 5 bits, the lowest first, and 32 more unless it is a number's last.

    Raises:
        ValueError: the text ends within a number.
    """
    counts: list[int] = []
    value = shift = 0
    for bits in (ord(character) - ord("0") for character in text):
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise ValueError("the text of its run lengths ends within a number")
    return counts


def _check_run_lengths(counts: list[Any], *, pixels: int) -> None:
    """Raises ValueError unless the runs cover the mask."""
    if min(counts, default=0) < 0 or sum(counts) != pixels:
        raise ValueError(f"its run lengths must add up to {pixels} pixels, got {sum(counts)}")
