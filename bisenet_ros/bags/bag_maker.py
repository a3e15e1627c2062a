# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Makes a bag of images: the bag appears when it is whole, or not at all."""

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Tuple

import cv2
import numpy as np
from tqdm import tqdm

from bisenet_ros.bags.bag_files import METADATA, is_storage
from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, IMAGE
from bisenet_ros.bags.bag_reader import LABEL_CLASSES
from bisenet_ros.bags.bag_writer import CAMERA_INFO, BagWriter, make_header
from bisenet_ros.bags.camera_info import guess_camera_info
from bisenet_ros.bags.recording import RATE, STAMP_LIMIT, URI_CHARACTERS, Recording
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.files.file_content import first_bytes
from bisenet_ros.files.file_names import check_path
from bisenet_ros.files.result_folder import (
    put_in_place,
    remove_left_over,
    require_apart,
    require_replaceable,
    unfinished_folder,
)
from bisenet_ros.images.compressed_headers import JPEG_MAGIC, PNG_MAGIC
from bisenet_ros.images.compression import encode_jpeg
from bisenet_ros.images.encodings import MAX_COMPRESSED_PIXELS
from bisenet_ros.model.input_size import size_text
from bisenet_ros.sources.image_source import ImageSource, SourceImage

JPEG_QUALITY = 95
MAGIC = {"jpeg": JPEG_MAGIC, "png": PNG_MAGIC}
"""What files begin with that go into the bag byte by byte, by the compression that is asked for."""
SQLITE_LOGS = ("-wal", "-shm", "-journal")
"""What SQLite appends to the name of a file for its logs."""


def make_bag(
    source: ImageSource, folder: Path, recording: Recording, *, labels: Optional[Path] = None, force: bool = False
) -> int:
    """Writes the bag, whole or not at all; how many images it has.

    Args:
        labels: a folder for the ground truth as <stamp in ns>.png.
        force: replace the bag and the labels that are there; nothing else is replaced.

    Raises:
        BisenetError: the source has no image, an image cannot be used, the folder exists, or it is the source's.
        OSError: a file cannot be read or written.
    """
    if labels and not source.has_ground_truth:
        raise BisenetError("--export-labels needs labels: name them with --labels, or a data set that has them")
    folder, labels = folder.resolve(), labels.resolve() if labels else None
    check_path(folder, forbidden=URI_CHARACTERS)
    targets = [folder, *([labels] if labels else [])]
    require_apart(folder, [*source.places, *([labels] if labels else [])])
    _check_target(folder, force=force, replaceable=_is_bag(folder), kind="a bag")
    if labels:
        require_apart(labels, source.places, option="--export-labels")
        _check_target(labels, force=force, replaceable=_is_labels(labels), kind="a folder of <stamp in ns>.png")
    for target in targets:
        require_replaceable(target)
        remove_left_over(target)
    with ExitStack() as stack:
        made = {target: stack.enter_context(unfinished_folder(target)) for target in targets}
        count = _record(source, made[folder], recording, labels=made[labels] if labels else None)
        for target, whole in made.items():
            put_in_place(whole, target)
    return count


def _record(source: ImageSource, folder: Path, recording: Recording, *, labels: Optional[Path]) -> int:
    topics: Dict[str, str] = {
        recording.image_topic: COMPRESSED_IMAGE if recording.compressed else IMAGE,
        recording.camera_info_topic: CAMERA_INFO,
    }
    if source.has_ground_truth:
        topics[recording.labels_topic] = IMAGE
    if labels:
        labels.mkdir()
    count = 0
    stamped = _stamped(source, recording)
    custom_data = {LABEL_CLASSES: json.dumps(source.classes.names)} if source.classes else {}
    with BagWriter(folder, storage=recording.storage, topics=topics, custom_data=custom_data) as bag:
        for stamp_ns, image in tqdm(stamped, total=source.count or None, desc="recording", unit="image", disable=None):
            _write(bag, stamp_ns, image, recording)
            if labels and image.ground_truth is not None:
                write_png(labels / f"{stamp_ns}.png", image.ground_truth)
            count += 1
        if not count:
            raise BisenetError("there is no image to make a bag of")
    return count


def _stamped(source: ImageSource, recording: Recording) -> Iterator[Tuple[int, SourceImage]]:
    """Each image with its stamp in ns."""
    rate = recording.rate or source.rate or RATE
    last_ns, number, known = -1, 0, 0.0  # `number` images after the one whose time is known
    for image in source.images():
        if recording.rate is None and image.seconds is not None:
            number, known = 0, image.seconds
        seconds = known + number / rate
        number += 1
        stamp_ns = recording.start_ns + round(10**9 * min(seconds, STAMP_LIMIT))
        last_ns = max(stamp_ns, last_ns + 1)
        if last_ns >= STAMP_LIMIT * 10**9:
            raise BisenetError(f"the stamp of {image.name} is beyond 2038; choose an earlier --start or higher --rate")
        yield last_ns, image


def _write(bag: BagWriter, stamp_ns: int, image: SourceImage, recording: Recording) -> None:
    size = image.pixels.shape[:2]
    if image.ground_truth is not None and image.ground_truth.shape != size:
        raise BisenetError(
            f"{image.name} has {size_text(size)} pixels and its labels {size_text(image.ground_truth.shape)}"
        )
    camera_info = recording.camera_info or guess_camera_info(size, field_of_view=recording.field_of_view)
    calibrated = camera_info.height, camera_info.width
    if calibrated != size:
        raise BisenetError(f"{image.name} has {size_text(size)} pixels, the calibration is for {size_text(calibrated)}")
    header: Dict[str, Any] = {"stamp_ns": stamp_ns, "log_ns": stamp_ns, "frame_id": recording.frame_id}
    if recording.compressed:
        data, form = _encode(image, recording.compressed), f"bgr8; {recording.compressed} compressed bgr8"
        bag.write_compressed(recording.image_topic, data, format=form, **header)
    else:
        bag.write_image(recording.image_topic, image.pixels, encoding="bgr8", **header)
    stamped = replace(camera_info, header=make_header(stamp_ns, recording.frame_id))
    bag.write(recording.camera_info_topic, stamped, log_ns=stamp_ns)
    if image.ground_truth is not None:
        bag.write_image(recording.labels_topic, image.ground_truth, encoding="mono8", **header)


def _encode(image: SourceImage, kind: str) -> bytes:
    if image.pixels.shape[0] * image.pixels.shape[1] > MAX_COMPRESSED_PIXELS:
        raise BisenetError(
            f"{image.name} has {size_text(image.pixels.shape)} pixels, of which readers of compressed images take "
            f"{MAX_COMPRESSED_PIXELS} at most; leave out --compressed, or make it smaller"
        )
    if image.file and first_bytes(image.file).startswith(MAGIC[kind]):
        data = image.file.read_bytes()
        if _is_plain(data, image.pixels):
            return data
    if kind == "png":
        return cv2.imencode(".png", image.pixels)[1].tobytes()
    try:
        return encode_jpeg(image.pixels, quality=JPEG_QUALITY)
    except ImageError as error:
        raise ImageError(error.reason, f"{image.name}: {error}, or choose --compressed png") from None


def _is_plain(data: bytes, pixels: np.ndarray) -> bool:
    """Whether every reader of a file sees the same pixels; not with an orientation tag, one channel or alpha."""
    coded = np.frombuffer(data, np.uint8)
    return all(
        np.array_equal(np.asarray(cv2.imdecode(coded, flags)), pixels)
        for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR)
    )


def _check_target(target: Path, *, force: bool, replaceable: bool, kind: str) -> None:
    """Raises BisenetError where files would be lost: another kind of folder's, or without `force` an earlier result."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not replaceable:
        raise BisenetError(f"{target} exists and is not {kind}, so that it is not replaced; name another folder")
    if not force:
        raise BisenetError(f"{target} exists; add --force to replace it, or name another folder")


def _is_bag(folder: Path) -> bool:
    """Whether it is a bag and holds nothing but metadata.yaml, files that store it, and SQLite's logs beside these."""
    if not (folder / METADATA).is_file():
        return False
    stored = [file.name for file in folder.iterdir() if is_storage(file)]
    own = {METADATA, *stored, *(name + log for name in stored for log in SQLITE_LOGS)}
    return all(path.name in own and path.is_file() for path in folder.iterdir())


def _is_labels(folder: Path) -> bool:
    return folder.is_dir() and all(
        path.stem.isdecimal() and path.suffix == ".png" and path.is_file() for path in folder.iterdir()
    )
