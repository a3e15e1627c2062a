# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A bag in real time through a node: what is lost, how long it takes, and whether the masks are the same."""

from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Sequence

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, read_masks
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.run_engine import EngineOptions
from bisenet_ros.evaluation.run_summary import NodeReplay, Source
from bisenet_ros.node.driver.camera_player import TimedImage
from bisenet_ros.node.driver.interval import Interval, SentFrame
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.driver.ros_client import DriverError
from bisenet_ros.node.driver.topics import Topics


def replay_through_node(
    source: Source,
    records: Iterable[FrameRecord],
    *,
    folder: Path,
    engine: EngineOptions,
    rate: float,
) -> NodeReplay:
    """Sends the frames of one topic that have an offline mask, at the pace at which they were recorded.

    Args:
        records: of the whole offline run.
        folder: of its report.
        engine: of the offline run.
        rate: the pace, above 0; 1 is the bag's own.

    Raises:
        DriverError: the node does not come up or ends. BagError: a bag cannot be read.
    """
    own = [(record.index, record.stamp_ns) for record in records if record.key[:2] == (source.bag, source.topic)]
    if not own:
        raise DriverError(f"{source.bag} {source.topic} has no frame with an offline mask to replay")
    indices, stamps_ns = zip(*own)
    comparison = _Comparison(folder / source.masks, source.mask_topic)
    # As offline: an engine may compute masks in another way where nobody asks for the confidence.
    topics = Topics(compressed=source.message_type == COMPRESSED_IMAGE, outputs=("mask", "confidence"))
    given = {name: str(value) for name, value in engine._asdict().items() if value}
    images = partial(bag_images, Path(source.path), source.topic, rate=rate)
    with NodeDriver(topics.node_arguments(**given, diagnostics_rate=2.0), topics=topics) as driver:
        driver.warm_up(partial(images, indices=indices[:1]))
        with tqdm(desc="through the node", unit="frame", total=len(own), disable=None) as bar:
            interval = driver.play(partial(images, indices=indices), on_answer=comparison.add, bar=bar)
        description = driver.diagnostics.engine
    figures = _summarize(interval, comparison, stamps_ns=stamps_ns)
    return NodeReplay(bag=source.bag, topic=source.topic, rate=rate, engine=description, **figures)


class _Comparison:
    """Compares the node's masks with the offline ones, which are read as they are needed.

    Attributes:
        differing_pixels: by the frame's number, of the frames that have any.
    """

    def __init__(self, masks: Path, topic: str) -> None:
        self.differing_pixels: Dict[int, int] = {}
        self._masks = enumerate(mask for _, mask in read_masks(masks, topic))

    def add(self, frame: SentFrame, message: Any) -> None:
        """Compares a mask with the offline one of its frame; those of lost frames before it are passed over."""
        expected = next(mask for number, mask in self._masks if number == frame.number)
        mask = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, : message.width]
        differing = int(np.count_nonzero(mask != expected)) if mask.shape == expected.shape else expected.size
        if differing:
            self.differing_pixels[frame.number] = differing


def _summarize(interval: Interval, comparison: _Comparison, *, stamps_ns: Sequence[int]) -> Dict[str, Any]:
    """The entries of a NodeReplay that the answers decide."""
    latencies = interval.latencies()
    p50, p99 = np.percentile(latencies, [50, 99]).round(3).tolist() if latencies else (None, None)
    return {
        "sent": len(interval.sent),
        "received": len(interval.answers),
        "losses": interval.losses_in_words,
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
        "differing_frames": [stamps_ns[number] for number in comparison.differing_pixels],
        "differing_pixels": sum(comparison.differing_pixels.values()),
    }


def bag_images(bag: Path, topic: str, *, indices: Sequence[int], rate: float) -> Iterator[TimedImage]:
    """The messages of a topic whose numbers are `indices` (from 0, sorted), `rate` times as fast as recorded."""
    wanted, first_log = set(indices), None
    for message in Bag(bag).messages([topic]):
        if message.index not in wanted:
            continue
        first_log = message.log_ns if first_log is None else first_log
        message_type = CompressedImage if message.type == COMPRESSED_IMAGE else Image
        yield TimedImage((message.log_ns - first_log) / 1e9 / rate, deserialize_message(message.data, message_type))
        if message.index == indices[-1]:
            return
