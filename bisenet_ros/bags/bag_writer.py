# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bags of images, written without ROS, that every ROS 2 since Humble plays."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, Literal, Mapping, Optional

import numpy as np
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode

from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, IMAGE, TYPES
from bisenet_ros.bags.recording import STAMP_LIMIT
from bisenet_ros.bags.storage import problem_of
from bisenet_ros.files.full_disk import explain_full_disk

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
VERSION: Literal[8] = 8
"""Version of metadata.yaml; Humble cannot read the QoS of version 9."""
FOREVER = QosTime(2147483647, 4294967295)
# A reliable publisher serves subscribers of both kinds.
OFFERED = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    FOREVER,
    FOREVER,
    QosLiveliness.AUTOMATIC,
    FOREVER,
    False,
)


class BagWriter:
    """A new bag of one file; a context manager, which leaves no metadata.yaml after an error.

    An MCAP file's chunks are compressed with zstd, which every reader of MCAP undoes; sqlite3 is not compressed.
    Every method raises OSError; that of SQLite, and that of a full disk, names the folder.
    """

    def __init__(
        self, folder: Path, *, storage: str, topics: Dict[str, str], custom_data: Optional[Mapping[str, str]] = None
    ) -> None:
        """Makes a folder, whose name the file has.

        Args:
            topics: the type of each topic's messages, by its name.
            custom_data: entries of metadata.yaml under that name, which rosbag2 leaves to who records.
        """
        self._folder = folder
        self._writer = Writer(folder, version=VERSION, storage_plugin=StoragePlugin[storage.upper()])
        if storage == "mcap":
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        for key, value in (custom_data or {}).items():
            self._writer.set_custom_data(key, value)
        self._topics = topics
        self._connections: Dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        with _explain_failure(self._folder):
            self._writer.open()
            for topic, kind in self._topics.items():
                self._connections[topic] = self._writer.add_connection(
                    topic, kind, typestore=TYPES, offered_qos_profiles=[OFFERED]
                )
        return self

    def __exit__(self, *error: Any) -> None:
        with _explain_failure(self._folder):
            self._writer.__exit__(*error)

    def write_image(
        self, topic: str, pixels: np.ndarray, *, encoding: str, stamp_ns: int, frame_id: str, log_ns: int
    ) -> None:
        """H x W (x C) uint8 as a sensor_msgs/Image with unpadded rows, recorded at `log_ns`."""
        pixels = np.ascontiguousarray(pixels)
        height, width = pixels.shape[:2]
        image = TYPES.types[IMAGE](
            header=make_header(stamp_ns, frame_id),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // height,
            data=pixels.reshape(-1),
        )
        self.write(topic, image, log_ns=log_ns)

    def write_compressed(
        self, topic: str, data: bytes, *, format: str, stamp_ns: int, frame_id: str, log_ns: int
    ) -> None:
        """The bytes of a JPEG or PNG file as a sensor_msgs/CompressedImage, recorded at `log_ns`."""
        image = TYPES.types[COMPRESSED_IMAGE](
            header=make_header(stamp_ns, frame_id), format=format, data=np.frombuffer(data, np.uint8)
        )
        self.write(topic, image, log_ns=log_ns)

    def write(self, topic: str, message: Any, *, log_ns: int) -> None:
        """A message of rosbags' types, recorded at `log_ns`."""
        connection = self._connections[topic]
        with _explain_failure(self._folder):
            self._writer.write(connection, log_ns, TYPES.serialize_cdr(message, connection.msgtype))


@contextmanager
def _explain_failure(folder: Path) -> Iterator[None]:
    """Raises OSError in place of SQLite's errors, of which only that of a full disk says what is wrong."""
    with explain_full_disk(folder):
        try:
            yield
        except sqlite3.Error as error:
            if "disk is full" in str(error):  # its errors have codes since Python 3.11 only
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise OSError(
                errno.EIO,
                f"{problem_of(error)} writing {folder}: is the drive still there, and has it a quota, or a limit for "
                "the size of a file, as FAT has?",
            ) from error


def make_header(stamp_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header."""
    seconds = min(stamp_ns // 10**9, STAMP_LIMIT - 1)  # up to 4.29 s more fit into the nanoseconds
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=stamp_ns - seconds * 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)
