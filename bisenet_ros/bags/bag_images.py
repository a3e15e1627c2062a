# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames and masks in the messages of a bag."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Tuple

import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore

from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.bags.storage import BagMessage, problem_of
from bisenet_ros.errors import ImageError
from bisenet_ros.images.encodings import decode_message

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
MASK_ENCODINGS = ("mono8", "8UC1")
TYPES = get_typestore(Stores.ROS2_JAZZY)
"""sensor_msgs/Image and its like have been the same in every ROS 2."""
CDR_HEADER = 4
"""Bytes before a message in CDR; the second tells the order of bytes in numbers."""
CDR_ERRORS = (SerdeError, struct.error, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError)
"""What rosbags raises for bytes that are not the message."""


@dataclass(frozen=True)
class BagFrame:
    """An image of a bag: H x W x 3 uint8 BGR, read-only where it is the message's own memory.

    `index` is the message's number in the topic, from 0; `log_ns` is when it was recorded.
    """

    topic: str
    index: int
    stamp_ns: int
    frame_id: str
    log_ns: int
    pixels: np.ndarray


def read_stamp(message: BagMessage) -> int:
    """The stamp in ns of a message that begins with a header; raises ImageError where it is too short for one."""
    try:
        seconds, nanoseconds = struct.unpack_from("<iI" if message.data[1] & 1 else ">iI", message.data, CDR_HEADER)
    except (struct.error, IndexError) as error:
        raise _no_message(message, error) from error
    return seconds * 10**9 + nanoseconds


def decode_frame(message: BagMessage) -> BagFrame:
    """The image in a message.

    Raises ImageError where it cannot be read; its reason "message" says that the bytes are no such message at all.
    """
    if message.type not in IMAGE_TYPES:  # as where a bag was merged
        raise ImageError("message", f"expected one of {', '.join(IMAGE_TYPES)}, got {message.type}")
    image = _deserialize(message)
    header = image.header
    return BagFrame(
        message.topic, message.index, _stamp(header), header.frame_id, message.log_ns, decode_message(image)
    )


def decode_mask(message: BagMessage) -> Tuple[int, np.ndarray]:
    """The stamp in ns and the H x W uint8 ids of a mask.

    Raises ImageError where it is no image of one byte a pixel, or has too little data.
    """
    if message.type != IMAGE:
        raise ImageError("message", f"expected a mask as {IMAGE}, got {message.type}")
    image = _deserialize(message)
    if image.encoding not in MASK_ENCODINGS:
        raise ImageError("encoding", f"expected a mask as {' or '.join(MASK_ENCODINGS)}, got {image.encoding!r}")
    height, width, step = image.height, image.width, image.step
    if not height or not width or step < width or len(image.data) < height * step:
        raise ImageError(
            "data", f"expected a mask of {width} x {height} pixels, got {len(image.data)} bytes in rows of {step}"
        )
    return _stamp(image.header), image.data[: height * step].reshape(height, step)[:, :width]


def read_masks(path: Path, topic: str) -> Iterator[Tuple[int, np.ndarray]]:
    """The stamp in ns and the H x W uint8 ids of each mask of one topic, in order.

    Raises ImageError where one cannot be read.
    """
    return map(decode_mask, Bag(path).messages([topic]))


def _deserialize(message: BagMessage) -> Any:
    try:
        return TYPES.deserialize_cdr(message.data, message.type)
    except CDR_ERRORS as error:
        raise _no_message(message, error) from error


def _no_message(message: BagMessage, error: Exception) -> ImageError:
    return ImageError("message", f"expected a message {message.type}, got other bytes ({problem_of(error)})")


def _stamp(header: Any) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec
