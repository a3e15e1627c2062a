"""Bags of images, written without ROS, that every ROS 2 since Humble plays."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Literal, Optional, Sequence, Type

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from ruamel.yaml import YAML

from bisenet_ros.bags.bag_reader import COMPRESSED_IMAGE, IMAGE, METADATA, TYPES
from bisenet_ros.bags.full_disk import full_disk_told
from bisenet_ros.files.atomic_write import write_text

STORAGES = ("sqlite3", "mcap")
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
VERSION: Literal[8] = 8
"""Of the metadata: Humble cannot read 9's QoS."""
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
    """A new bag of one file; use it as a context manager, after whose error no metadata.yaml is there.

    An MCAP file's chunks are compressed with zstd, which every reader of MCAP undoes; sqlite3 is not compressed.
    Whatever it does raises OSError; a full disk is told with the folder and what to do.
    """

    def __init__(self, folder: Path, *, storage: str, topics: Dict[str, str]) -> None:
        """
        Args:
            folder: of the bag, which must not exist; the file has its name.
            storage: one of STORAGES.
            topics: the type of each topic's messages, by its name.
        """
        self._folder = folder
        self._writer = Writer(folder, version=VERSION, storage_plugin=StoragePlugin[storage.upper()])
        if storage == "mcap":
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._topics = topics
        self._connections: Dict[str, Connection] = {}

    def __enter__(self) -> BagWriter:
        with full_disk_told(self._folder):
            self._writer.open()
            for topic, kind in self._topics.items():
                self._connections[topic] = self._writer.add_connection(
                    topic, kind, typestore=TYPES, offered_qos_profiles=[OFFERED]
                )
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        with full_disk_told(self._folder):
            self._writer.__exit__(kind, error, trace)

    def abort(self) -> None:
        """Leaves the bag as it is, unreadable; again is harmless, and so it is after the end."""
        self._writer.abort()

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
        with full_disk_told(self._folder):
            self._writer.write(connection, log_ns, TYPES.serialize_cdr(message, connection.msgtype))


def make_header(stamp_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header."""
    stamp = TYPES.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return TYPES.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def join_bags(parts: Sequence[Path], folder: Path) -> None:
    """Moves the files of bags with the same topics into one bag, as a recorder splits it.

    Again is harmless where it was interrupted.

    Args:
        parts: bags of `BagWriter` in their order; at least one.
        folder: of the new bag.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts_information = [_read_metadata(part) for part in parts]
    for part, information in zip(parts, parts_information):
        (name,) = information["relative_file_paths"]
        if (part / name).exists():
            (part / name).replace(folder / name)
    with_messages = [information for information in parts_information if information["message_count"]]
    _write_metadata(folder, _joined(parts_information, with_messages or parts_information[:1]))


def _joined(parts: List[Dict[str, Any]], timed: List[Dict[str, Any]]) -> Dict[str, Any]:
    start = min(_start(part) for part in timed)
    end = max(_start(part) + part["duration"]["nanoseconds"] for part in timed)
    topics = [
        {**same[0], "message_count": sum(topic["message_count"] for topic in same)}
        for same in zip(*(part["topics_with_message_count"] for part in parts))
    ]
    return {
        **parts[0],
        "relative_file_paths": [name for part in parts for name in part["relative_file_paths"]],
        "files": [file for part in parts for file in part["files"]],
        "starting_time": {"nanoseconds_since_epoch": start},
        "duration": {"nanoseconds": end - start},
        "message_count": sum(part["message_count"] for part in parts),
        "topics_with_message_count": topics,
    }


def _start(information: Dict[str, Any]) -> int:
    return information["starting_time"]["nanoseconds_since_epoch"]


def _read_metadata(folder: Path) -> Dict[str, Any]:
    return YAML(typ="safe").load((folder / METADATA).read_text(encoding="utf-8"))["rosbag2_bagfile_information"]


def _write_metadata(folder: Path, information: Dict[str, Any]) -> None:
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    text = StringIO()
    yaml.dump({"rosbag2_bagfile_information": information}, text)
    write_text(folder / METADATA, text.getvalue())
