# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make a ROS 2 bag from images, a video or a data set."""

import argparse
import sys
from decimal import Decimal
from pathlib import Path

from bisenet_ros.bags import STORAGES
from bisenet_ros.bags.recording import (
    COMPRESSIONS,
    FIELD_OF_VIEW,
    RATE,
    STAMP_LIMIT,
    Recording,
    check_frame_id,
    check_topic,
)
from bisenet_ros.commands._arguments import number
from bisenet_ros.commands._messages import print_warning
from bisenet_ros.errors import IMPERFECT, BisenetError

EXTRA = "evaluation"
DESCRIPTION = f"""\
Makes a ROS 2 bag of a folder of images (in natural order), a video, or a data set as NAME:ROOT[:SPLIT], such as
camvid:/data/camvid:val; no ROS is needed. The images go to --topic, with a camera_info beside them and, with labels,
their masks (mono8 ids) to `labels` beside them, all under the same stamps. Without --camera-info the camera_info is a
GUESS: a pinhole camera of {FIELD_OF_VIEW:g} degrees without distortion, good for players and viewers, not for geometry.
Stamps are a video's own, else --rate's. A file that is JPEG or PNG already goes into the bag byte by byte with
--compressed of its kind, unless it is gray or has alpha or an EXIF orientation. Exit codes: 0 all is well; 1 an error,
no bag was made; {IMPERFECT} a video lacks more than one of the frames that it promises."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("images", metavar="IMAGES", help="a folder of images, a video, or NAME:ROOT[:SPLIT]")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BAG", help="the folder of the new bag")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="images of ids, 255 where there is none, called as the images"
    )
    rate = number(lambda rate: 0 < rate < 10000, expected="a number above 0 and below 10000")
    parser.add_argument("--rate", type=rate, help=f"images a second; default: the video's, else {RATE:g}")
    parser.add_argument("--topic", default=Recording.topic, help=f"default {Recording.topic}")
    parser.add_argument("--frame-id", default=Recording.frame_id, help=f"default {Recording.frame_id}")
    parser.add_argument("--compressed", choices=COMPRESSIONS, default="", help="CompressedImage in place of Image")
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0], help=f"default {STORAGES[0]}")
    parser.add_argument(
        "--start", type=_nanoseconds, default=Recording.start_ns, metavar="SECONDS", help="the first stamp; default 1"
    )
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera-info", type=Path, metavar="YAML", help="a calibration as ROS's camera_calibration writes it"
    )
    camera.add_argument(
        "--fov",
        type=number(lambda degrees: 0 < degrees < 180, expected="degrees above 0 and below 180"),
        default=FIELD_OF_VIEW,
        metavar="DEGREES",
        help=f"horizontal, of the guessed camera; default {FIELD_OF_VIEW:g}",
    )
    parser.add_argument(
        "--export-labels", type=Path, metavar="DIR", help="also write the labels as <stamp in ns>.png into this folder"
    )
    parser.add_argument("--force", action="store_true", help="replace a bag, or exported labels, that exist")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.bags.bag_files import is_bag_alone
    from bisenet_ros.bags.bag_maker import make_bag
    from bisenet_ros.bags.camera_info import read_camera_info
    from bisenet_ros.sources.image_source import open_source

    if is_bag_alone(Path(arguments.images)):
        raise BisenetError(f"expected images, a video or a data set, got the bag {arguments.images}")
    source = open_source(arguments.images, labels=arguments.labels)
    recording = Recording(
        topic=check_topic(arguments.topic),
        frame_id=check_frame_id(arguments.frame_id),
        rate=arguments.rate,
        start_ns=arguments.start,
        compressed=arguments.compressed,
        storage=arguments.storage,
        camera_info=read_camera_info(arguments.camera_info) if arguments.camera_info else None,
        field_of_view=arguments.fov,
    )
    count = make_bag(source, arguments.output, recording, labels=arguments.export_labels, force=arguments.force)
    topics = [recording.image_topic, recording.camera_info_topic]
    topics += [recording.labels_topic] if source.has_ground_truth else []
    labeled = f", {source.labeled} of them with labels" if 0 < source.labeled < count else ""
    print(f"{arguments.output}: {count} images{labeled}; topics {', '.join(topics)}")
    if recording.camera_info is None:
        print(f"camera_info is a guess: pinhole, {recording.field_of_view:g} degrees, no distortion", file=sys.stderr)
    if count < source.count:
        print_warning(f"{source.count} images promised by {arguments.images}, {count} read")
    return IMPERFECT if count < source.count - source.count_is_estimate else 0


def _nanoseconds(text: str) -> int:
    try:
        nanoseconds = int(Decimal(text) * 10**9)
    except (ArithmeticError, ValueError):  # such as of "soon", "inf" and "1e999999"
        nanoseconds = -1
    if not 0 <= nanoseconds < STAMP_LIMIT * 10**9:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to {STAMP_LIMIT}, such as 1700000000.5, got {text}")
    return nanoseconds
