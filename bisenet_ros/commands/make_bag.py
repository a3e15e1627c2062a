"""A bag of images, a video or a data set: `bisenet make-bag IMAGES -o BAG`."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import combinations, product
from pathlib import Path
from typing import Dict, Iterator, NamedTuple, Optional, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from bisenet_ros.bags.bag_reader import COMPRESSED_IMAGE, IMAGE, METADATA
from bisenet_ros.bags.bag_writer import CAMERA_INFO, STORAGES, BagWriter
from bisenet_ros.bags.camera_info import Calibration, guess_calibration, read_calibration
from bisenet_ros.bags.recorded_images import ImageSource, RecordedImage, open_source
from bisenet_ros.bags.storage_file import STORAGE_SUFFIXES
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.model.input_size import size_text

RATE = 10.0
FIELD_OF_VIEW = 60.0
JPEG_QUALITY = 95
SUFFIXES = {"jpeg": (".jpg", ".jpeg"), "png": (".png",)}
LATEST = 2**31
"""Seconds; a stamp has no room for more."""
TOPIC_NAME = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
CAMERA_INFO_TOPIC, LABELS_TOPIC = BESIDE = ("/camera_info", "/labels")
"""What is added to the images' namespace."""
DESCRIPTION = f"""\
Makes a ROS 2 bag of a folder of images (in natural order), a video, or a data set as NAME:ROOT[:SPLIT], such as
camvid:/data/camvid:val; no ROS is needed. The images go to --topic, with a camera_info beside them and, with labels,
their masks (mono8 ids) to `labels` beside them, all under the same stamps. Without --camera-info the camera_info is a
GUESS: a pinhole camera of {FIELD_OF_VIEW:g} degrees without distortion, good for players and viewers, not for geometry.
Stamps are a video's own, else --rate's. A file that is JPEG or PNG already goes into the bag byte by byte with
--compressed of its kind."""


@dataclass(frozen=True)
class Recording:
    """How images become a bag.

    Attributes:
        topic: of the raw images; compressed ones go to topic/compressed.
        rate: images a second; None for a video's own stamps, or RATE.
        start_ns: stamp of the first image.
        compressed: "jpeg", "png" or "" for raw images.
        calibration: of the camera; guessed from `field_of_view` (degrees, horizontal) where there is none.
    """

    topic: str = "/camera/image_raw"
    frame_id: str = "camera"
    rate: Optional[float] = None
    start_ns: int = 10**9
    compressed: str = ""
    storage: str = STORAGES[0]
    calibration: Optional[Calibration] = None
    field_of_view: float = FIELD_OF_VIEW

    @property
    def image_topic(self) -> str:
        return f"{self.topic}/compressed" if self.compressed else self.topic

    @property
    def camera_info_topic(self) -> str:
        return f"{self._camera}{CAMERA_INFO_TOPIC}"

    @property
    def labels_topic(self) -> str:
        return f"{self._camera}{LABELS_TOPIC}"

    @property
    def _camera(self) -> str:
        return self.topic.rpartition("/")[0]


class Stamped(NamedTuple):
    stamp_ns: int
    image: RecordedImage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("images", metavar="IMAGES", help="a folder of images, a video, or NAME:ROOT[:SPLIT]")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BAG", help="the folder of the new bag")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="PNGs of ids, 255 where there is none, called as the images"
    )
    parser.add_argument("--rate", type=_positive, help=f"images a second; default: the video's, else {RATE:g}")
    parser.add_argument("--topic", default=Recording.topic, help=f"default {Recording.topic}")
    parser.add_argument("--frame-id", default=Recording.frame_id, help=f"default {Recording.frame_id}")
    parser.add_argument("--compressed", choices=tuple(SUFFIXES), default="", help="CompressedImage in place of Image")
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0])
    parser.add_argument(
        "--start", type=_nanoseconds, default=Recording.start_ns, metavar="SECONDS", help="the first stamp; default 1"
    )
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera-info", type=Path, metavar="YAML", help="a calibration as ROS's camera_calibration writes it"
    )
    camera.add_argument(
        "--fov",
        type=_degrees,
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help=f"horizontal, of the guessed camera; default {FIELD_OF_VIEW:g}",
    )
    parser.add_argument(
        "--export-labels", type=Path, metavar="DIR", help="also write the labels as <stamp in ns>.png into this folder"
    )
    parser.add_argument("--force", action="store_true", help="replace a bag, or exported labels, that exist")


def run(arguments: argparse.Namespace) -> int:
    source = open_source(arguments.images, labels=arguments.labels)
    recording = Recording(
        topic=_topic(arguments.topic),
        frame_id=arguments.frame_id,
        rate=arguments.rate,
        start_ns=arguments.start,
        compressed=arguments.compressed,
        storage=arguments.storage,
        calibration=read_calibration(arguments.camera_info) if arguments.camera_info else None,
        field_of_view=arguments.fov,
    )
    if arguments.export_labels and not source.has_truth:
        raise ValueError("--export-labels needs labels: name them with --labels, or a data set that has them")
    images = make_bag(source, arguments.output, recording, labels=arguments.export_labels, force=arguments.force)
    topics = [recording.image_topic, recording.camera_info_topic, *([recording.labels_topic] * source.has_truth)]
    print(f"{arguments.output}: {images} images; topics {', '.join(topics)}")
    if recording.calibration is None:
        print(f"camera_info is a guess: pinhole, {recording.field_of_view:g} degrees, no distortion", file=sys.stderr)
    return 0


def make_bag(
    source: ImageSource, folder: Path, recording: Recording, *, labels: Optional[Path] = None, force: bool = False
) -> int:
    """Writes the bag, whole or not at all; how many images it has.

    Args:
        labels: a folder for the truth as <stamp in ns>.png.
        force: replace the bag and the labels that are there; nothing else is replaced.

    Raises:
        ValueError: the source has no image, an image cannot be used, the folder exists, or it is the source's. OSError.
    """
    folder, labels = folder.resolve(), labels.resolve() if labels else None
    _require_apart([folder, *([labels] if labels else [])], source.places)
    _require_free(folder, force=force, replaceable=_is_bag(folder), kind="a bag")
    if labels:
        _require_free(labels, force=force, replaceable=_is_labels(labels), kind="a folder of <stamp in ns>.png")
    unfinished = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        # The bag's file is called as its folder, so that the folder has its last name from the beginning.
        count = _record(source, unfinished / folder.name, recording, labels=unfinished / "labels" if labels else None)
        _replace(folder, unfinished / folder.name)
        if labels:
            _replace(labels, unfinished / "labels")
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return count


def _record(source: ImageSource, folder: Path, recording: Recording, *, labels: Optional[Path]) -> int:
    topics: Dict[str, str] = {
        recording.image_topic: COMPRESSED_IMAGE if recording.compressed else IMAGE,
        recording.camera_info_topic: CAMERA_INFO,
    }
    if source.has_truth:
        topics[recording.labels_topic] = IMAGE
    if labels:
        labels.mkdir()
    count = 0
    with BagWriter(folder, storage=recording.storage, topics=topics) as bag:
        for stamped in tqdm(
            _stamped(source, recording), total=source.count, desc="recording", unit="image", disable=None
        ):
            _write(bag, stamped, recording)
            if labels and stamped.image.truth is not None:
                write_png(labels / f"{stamped.stamp_ns}.png", stamped.image.truth)
            count += 1
        if not count:
            raise ValueError("there is no image to make a bag of")
    return count


def _stamped(source: ImageSource, recording: Recording) -> Iterator[Stamped]:
    rate = recording.rate or source.rate or RATE
    last_ns = -1
    for number, image in enumerate(source.images()):
        own = image.seconds if recording.rate is None else None
        stamp_ns = recording.start_ns + round(10**9 * (number / rate if own is None else own))
        last_ns = max(stamp_ns, last_ns + 1)
        if last_ns >= LATEST * 10**9:
            raise ValueError(f"the stamp of {image.name} is beyond 2038; choose an earlier --start")
        yield Stamped(last_ns, image)


def _write(bag: BagWriter, stamped: Stamped, recording: Recording) -> None:
    stamp_ns, image = stamped
    times = {"stamp_ns": stamp_ns, "log_ns": stamp_ns}
    size = image.pixels.shape[:2]
    if image.truth is not None and image.truth.shape != size:
        raise ValueError(f"{image.name} has {size_text(size)} pixels and its labels {size_text(image.truth.shape)}")
    calibration = recording.calibration or guess_calibration(size, field_of_view=recording.field_of_view)
    if calibration.size != size:
        raise ValueError(
            f"{image.name} has {size_text(size)} pixels, the calibration is for {size_text(calibration.size)}"
        )
    frame_id = recording.frame_id
    if recording.compressed:
        data = _encode(image, recording.compressed)
        bag.write_compressed(
            recording.image_topic,
            data,
            format=f"bgr8; {recording.compressed} compressed bgr8",
            frame_id=frame_id,
            **times,
        )
    else:
        bag.write_image(recording.image_topic, image.pixels, encoding="bgr8", frame_id=frame_id, **times)
    bag.write(recording.camera_info_topic, calibration.message(stamp_ns=stamp_ns, frame_id=frame_id), log_ns=stamp_ns)
    if image.truth is not None:
        bag.write_image(recording.labels_topic, image.truth, encoding="mono8", frame_id=frame_id, **times)


def _encode(image: RecordedImage, kind: str) -> bytes:
    if image.file and image.file.suffix.lower() in SUFFIXES[kind] and _is_plain(image):
        return image.file.read_bytes()
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == "jpeg" else []
    return cv2.imencode(SUFFIXES[kind][0], image.pixels, options)[1].tobytes()


def _is_plain(image: RecordedImage) -> bool:
    """Whether every reader of the file sees the same pixels; not with an orientation tag, one channel or alpha."""
    assert image.file is not None
    data = np.fromfile(image.file, np.uint8)
    return all(
        np.array_equal(np.asarray(cv2.imdecode(data, flags)), image.pixels)
        for flags in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR)
    )


def _require_apart(targets: Sequence[Path], sources: Sequence[Path]) -> None:
    """Raises ValueError where a folder that is written is, holds, or lies in another one or a source."""
    for target, other in [*combinations(targets, 2), *product(targets, (source.resolve() for source in sources))]:
        if target == other or target in other.parents or other in target.parents:
            raise ValueError(f"{target} and {other} must lie apart, since the first is replaced; name another folder")


def _require_free(target: Path, *, force: bool, replaceable: bool, kind: str) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not replaceable:
        raise ValueError(f"{target} exists and is not {kind}, so that it is not replaced; name another folder")
    if not force:
        raise ValueError(f"{target} exists; add --force to replace it, or name another folder")


def _is_bag(folder: Path) -> bool:
    """Whether it is a bag and holds nothing else; a log of SQLite's, such as .db3-wal, is of the bag."""
    return (folder / METADATA).is_file() and all(
        path.name == METADATA or any(suffix in path.name for suffix in STORAGE_SUFFIXES) for path in folder.iterdir()
    )


def _is_labels(folder: Path) -> bool:
    return folder.is_dir() and all(path.stem.isdecimal() and path.suffix == ".png" for path in folder.iterdir())


def _replace(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    source.rename(target)


def _topic(text: str) -> str:
    topic = text if text.startswith("/") else f"/{text}"
    if not TOPIC_NAME.fullmatch(topic):
        raise ValueError(
            f"expected --topic as ROS names topics, such as {Recording.topic} (letters, digits and underscores between "
            f"single slashes, no digit after a slash, no slash at the end), got {text!r}"
        )
    if topic.endswith(BESIDE):
        raise ValueError(f"--topic names the images, and {' and '.join(BESIDE)} go beside them, got {text!r}")
    if topic.endswith("/compressed"):
        raise ValueError(f"--topic names the raw topic, without /compressed, got {text!r}")
    return topic


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 10000:
        raise argparse.ArgumentTypeError(f"expected a number above 0 (at most 10000), got {text}")
    return value


def _degrees(text: str) -> float:
    value = float(text)
    if not 0 < value < 180:
        raise argparse.ArgumentTypeError(f"expected an angle between 0 and 180 degrees, got {text}")
    return value


def _nanoseconds(text: str) -> int:
    try:
        nanoseconds = int(Decimal(text) * 10**9)
    except (InvalidOperation, OverflowError, ValueError):
        nanoseconds = -1
    if not 0 <= nanoseconds < LATEST * 10**9:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {LATEST}, such as 1700000000.5, got {text}")
    return nanoseconds
