# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Makes a data set of labeled images: images, label files, lists of two splits, and the YAML that describes it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Iterator, NamedTuple, Sequence

import yaml

from bisenet_ros.files.atomic_write import write_bytes, write_png, write_text
from bisenet_ros.files.file_names import is_utf8, natural_order
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.permissions import require_readable
from bisenet_ros.files.result_folder import require_free, require_replaceable
from bisenet_ros.images.image_file import read_image, read_orientation
from bisenet_ros.model.class_map import IGNORE, ClassMap
from bisenet_ros.model.input_size import size_text
from bisenet_training.data.description import voc_color
from bisenet_training.errors import DataError
from bisenet_training.label_imports.coco import read_coco
from bisenet_training.label_imports.labeled_image import IGNORED, UNLABELED, LabeledImage
from bisenet_training.label_imports.labelme import read_labelme
from bisenet_training.label_imports.segmentation_masks import LABEL_MAP, read_segmentation_masks

DATASET_YAML = "dataset.yaml"
FIRST_THAT_SWAPS_SIDES = 5
"""First of the EXIF orientations that turn an image by 90 degrees, 5 to 8."""


class Made(NamedTuple):
    """What was made: the frames of each split, the classes, and the images that nobody has drawn in."""

    train: list[str]
    val: list[str]
    classes: list[str]
    left_out: list[Path]


def read_export(export: Path, images: Path | None = None) -> Iterator[LabeledImage]:
    """The images of an export: a COCO file, or the folder of labelme's files or of CVAT's segmentation masks.

    Raises:
        DataError: it is none of these.
        PermissionError: the folder may not be listed.
    """
    if not export.exists():
        raise DataError(f"expected the folder or the COCO file of an export at {export}, there is nothing")
    if export.is_file():
        return read_coco(export, images)
    if (export / LABEL_MAP).is_file():
        return read_segmentation_masks(export, images)
    require_readable(export)
    if not any(export.glob("*.json")):
        raise DataError(
            f"expected labelme's JSON files, or {LABEL_MAP} of CVAT's segmentation masks, in {export}, or a COCO file; "
            "found neither"
        )
    return read_labelme(export, images)


def make_data_set(
    labeled: Sequence[LabeledImage],
    output: Path,
    *,
    classes: Sequence[str] = (),
    background: str | None = None,
    val_share: float,
) -> Made:
    """Writes `images/`, `labels/`, `train.txt`, `val.txt` and `dataset.yaml`.

    Args:
        output: a folder that is empty, or not there yet.
        classes: the classes in the order of their ids; none: the labels in alphabetical order, then `background`.
        background: the class of pixels in no region; None: they have none, and are ignored.
        val_share: share of the frames to validate with: the last ones, in the order of their names, 2 before 10, since
            frames of one drive that follow each other are nearly the same.

    Raises:
        DataError: nothing is labeled, two images have one name, an image is missing, of another size or shown turned,
            a label is none of the classes, or there are fewer than two frames. BisenetError: the folder holds
            something. Then nothing is left in `output`.
        ClassMapError: there is no class, more than 255, or one twice.
    """
    output = output.resolve()
    require_free(output)
    require_replaceable(output)
    names = list(classes) or _classes_of(labeled, background)
    if not names:
        raise DataError(f"none of the {len(labeled)} images has a label; draw some, and export them again")
    ids = {**{name: i for i, name in enumerate(names)}, IGNORED: IGNORE}
    if background and background not in ids:
        raise DataError(f"the background {background!r} must be one of the classes, {', '.join(names)}")
    outside = ids[background] if background else IGNORE
    description = _describe(names)
    ids = {UNLABELED: outside, **ids}
    drawn = [image for image in labeled if image.labels or background]
    _check(drawn, ids, names)
    train, val = _split([path.stem for path in natural_order(image.image for image in drawn)], val_share)
    made = Made(train, val, names, [image.image for image in labeled if not (image.labels or background)])
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary_folder = TemporaryDirectory(dir=output.parent, ignore_cleanup_errors=True)
    with explain_full_disk(output), temporary_folder as temporary:
        folder = Path(temporary) / output.name
        for image in drawn:
            _write(image, folder, ids, outside)
        for split in ("train", "val"):
            write_text(folder / f"{split}.txt", "".join(f"{frame}\n" for frame in getattr(made, split)))
        write_text(folder / DATASET_YAML, description)
        folder.replace(output)  # all of it, or nothing
    return made


def _split(frames: Sequence[str], val_share: float) -> tuple[list[str], list[str]]:
    """The frames to train on, and the last ones, to validate with: at least one of each."""
    held_out = max(1, round(len(frames) * val_share))
    if len(frames) - held_out < 1:
        raise DataError(
            f"expected a labeled image or more to train on besides the {held_out} to validate with, got {len(frames)} "
            f"in all; label more, or give less than --val {val_share:g}"
        )
    return list(frames[:-held_out]), list(frames[-held_out:])


def _classes_of(labeled: Sequence[LabeledImage], background: str | None) -> list[str]:
    labels = {label for image in labeled for label in image.labels} - {UNLABELED, IGNORED}
    return sorted(labels | {background} if background else labels)


def _check(labeled: Sequence[LabeledImage], ids: dict[str, int], names: Sequence[str]) -> None:
    seen: dict[str, LabeledImage] = {}
    for image in labeled:
        name = image.image.stem
        if name.startswith(".") or name.splitlines() != [name.strip()] or not is_utf8(name):
            raise DataError(
                f"{str(image.image)!r} cannot be listed by its name, which must be UTF-8, and not begin with a dot, "
                "have a space at either end, or have a line break; rename it"
            )
        other = seen.setdefault(image.image.stem, image)
        if other is not image:
            raise DataError(f"{other.image} and {image.image} have one name; rename one of them")
        unknown = sorted(image.labels - ids.keys())
        if unknown:
            raise DataError(f"{image.source} has the label {unknown[0]!r}, which is none of {', '.join(names)}")
        if not image.image.is_file():
            raise DataError(
                f"{image.source} is of {image.image}, which is missing; name the images' folder with --images"
            )


def _write(labeled: LabeledImage, output: Path, ids: dict[str, int], outside: int) -> None:
    target = labeled.draw(ids, outside)
    size, orientation = read_image(labeled.image).shape[:2], read_orientation(labeled.image)
    shown = size if orientation < FIRST_THAT_SWAPS_SIDES else size[::-1]
    place = f"{labeled.source} is for an image of {size_text(target.shape)}, and {labeled.image} is {size_text(size)}"
    if orientation != 1 and target.shape == shown:
        raise DataError(
            f"{place} as it is stored, with the EXIF orientation {orientation}; images that viewers turn by that tag "
            "(all but 1) must be saved turned and without it, as labeling tools show them turned"
        )
    if target.shape != size:
        raise DataError(f"{place}; name the folder of the images that were labeled with --images")
    for folder in ("images", "labels"):
        (output / folder).mkdir(parents=True, exist_ok=True)
    write_bytes(output / "images" / labeled.image.name, labeled.image.read_bytes())
    write_png(output / "labels" / f"{labeled.image.stem}.png", target)


def _describe(names: Sequence[str]) -> str:
    classes = [{"name": name, "color": voc_color(i)} for i, name in enumerate(names, start=1)]
    ClassMap.from_list([{"id": i, **entry} for i, entry in enumerate(classes)])  # 1 to 255, each name once
    layout = {"images": "images/{name}.*", "labels": "labels/{name}.png", "listing": "{split}.txt"}
    entries = {**layout, "splits": ["train", "val"], "encoding": "ids", "ignore": [IGNORE], "classes": classes}
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)
