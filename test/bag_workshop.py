# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Small bags made by the real library, and a stub engine."""

from __future__ import annotations

import os
import sqlite3
from multiprocessing.process import parent_process
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional

import numpy as np
import onnx
import pytest
from camvid_classes import CAMVID
from onnx import helper
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter

from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, IMAGE, TYPES, BagFrame, decode_frame
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.bags.bag_writer import make_header
from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.model.model_card import ModelCard

CAMERA = "/camera/image_raw"
STEP_NS = 10**8
SIZE = (24, 32)


def stamp(number: int) -> int:
    """In ns, of a frame of `write_bag`."""
    return 10**9 + number * STEP_NS


def picture(number: int) -> np.ndarray:
    """24 x 32 x 3 uint8 BGR, another for each number; blue holds ids of CamVid's classes."""
    pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    pixels[..., 0] = np.arange(SIZE[0])[:, None] // 5 + number % 3
    return pixels


def image(pixels: np.ndarray, *, encoding: str = "bgr8", stamp_ns: int = 0):
    """A sensor_msgs/Image of rosbags' types."""
    return TYPES.types[IMAGE](
        header=make_header(stamp_ns, "front"),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels[0].nbytes,
        data=np.ascontiguousarray(pixels).reshape(-1),
    )


def compressed(data: bytes, *, kind: str, stamp_ns: int = 0):
    """A sensor_msgs/CompressedImage of rosbags' types."""
    return TYPES.types[COMPRESSED_IMAGE](
        header=make_header(stamp_ns, "front"), format=kind, data=np.frombuffer(data, np.uint8)
    )


def camera_messages(number: int):
    """One frame: what `write_bag` writes by itself."""
    return {CAMERA: image(picture(number), stamp_ns=stamp(number))}


def write_bag(
    folder: Path,
    *,
    count: int = 12,
    messages: Callable[[int], Dict[str, object]] = camera_messages,
    storage: str = "sqlite3",
    compression: Optional[CompressionMode] = None,
    log_ns: Callable[[int], int] = stamp,
    version: int = 8,
) -> Path:
    """A bag of `messages(number)`, by topic, for each number; recorded at `log_ns(number)`."""
    writer = Writer(folder, version=version, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: Dict[str, object] = {}
    with writer:
        for number in range(count):
            for topic, message in messages(number).items():
                kind = message.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
                writer.write(connections[topic], log_ns(number), TYPES.serialize_cdr(message, kind))
    return folder


def fill_disk(patch: pytest.MonkeyPatch) -> None:
    """From now on the storage of new bags meets a full disk: SQLite of few pages, and MCAP the kernel's own."""
    connect = sqlite3.connect

    def connect_to_few_pages(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 16")
        return connection

    class McapOnFullDisk(McapWriter):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments)
            self.bio.close()
            self.bio = open("/dev/full", "wb")

    patch.setattr(sqlite3, "connect", connect_to_few_pages)
    patch.setitem(Writer.STORAGE_PLUGINS, StoragePlugin.MCAP, McapOnFullDisk)


def read_frames(path: Path, topic: str) -> Iterator[BagFrame]:
    """The frames of one topic in order."""
    return map(decode_frame, Bag(path).messages([topic]))


def write_model(path: Path, *, name: str = "blue") -> Path:
    """The smallest model file, whose SHA-256 depends on a name; no engine of these tests loads it."""
    values = [helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, [1]) for value in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], name, values[:1], values[1:])
    onnx.save(helper.make_model(graph), path)
    return path


class BlueEngine(Engine):
    """The mask is the frame's blue, the confidence its green."""

    def __init__(self, *, fails_at: Optional[int] = None) -> None:
        card = ModelCard(
            name="blue", classes=CAMVID, mean=(0.4, 0.4, 0.4), std=(0.3, 0.3, 0.3), network_size=(360, 480)
        )
        super().__init__(card, description="blue engine")
        self.frames = 0
        self._fails_at = fails_at

    def _segment(self, frame, *, confidence):
        self.frames += 1
        if self.frames == self._fails_at:
            raise RuntimeError("out of blue")
        mask = np.ascontiguousarray(frame[..., 0] % len(CAMVID))
        return Segmentation(mask, np.ascontiguousarray(frame[..., 1]) if confidence else None)


class InterruptingEngine(BlueEngine):
    """As if Ctrl-C were pressed at a frame."""

    def _segment(self, frame, *, confidence):
        if self.frames + 1 == self._fails_at:
            raise KeyboardInterrupt
        return super()._segment(frame, confidence=confidence)


class FullDiskEngine(BlueEngine):
    """There is no room for what its process writes into bags."""

    def __init__(self, *, jobs: int) -> None:
        super().__init__()
        if jobs == 1 or parent_process():
            fill_disk(pytest.MonkeyPatch())


class DyingEngine(BlueEngine):
    """Its process ends at a frame, as where memory runs out."""

    def _segment(self, frame, *, confidence):
        if parent_process():
            os._exit(9)
        return super()._segment(frame, confidence=confidence)
