# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Loads the frames that a report shows from the bag and the bag of its masks."""

from collections import Counter, defaultdict
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Callable, Collection, Dict, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import decode_frame, decode_mask
from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.bags.storage import BagMessage
from bisenet_ros.errors import ImageError
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.run_summary import Source, TopicKey
from bisenet_ros.images.label_file import read_label_file


class Picture(NamedTuple):
    """A frame as H x W x 3 uint8 BGR, its H x W uint8 mask, and its ground truth where there is one."""

    key: FrameKey
    frame: np.ndarray
    mask: np.ndarray
    ground_truth: Optional[np.ndarray]


LoadPictures = Callable[[Collection[FrameKey]], Iterator[Picture]]
"""Yields the frames asked for, in any order; each is dropped before the next."""


def load_pictures(
    folder: Path,
    sources: Sequence[Source],
    records: Iterable[FrameRecord],
    keys: Collection[FrameKey],
    *,
    ground_truth: Optional[Dict[str, Path]] = None,
) -> Iterator[Picture]:
    """Some frames with their masks, in order within a topic, with one frame in memory at a time.

    Args:
        folder: of the report.
        records: of all its frames.
        ground_truth: the folder of each bag that has one, by the bag's short name.

    Raises BagError where a bag cannot be read or is not the one that was evaluated; OSError.
    """
    numbers: Counter = Counter()
    wanted: Dict[TopicKey, Dict[int, FrameRecord]] = defaultdict(dict)  # by the number of the mask in its topic
    for record in records:
        topic = record.key[:2]
        if record.key in keys:
            wanted[topic][numbers[topic]] = record
        numbers[topic] += 1
    for source in sources:
        chosen = wanted[source.key]
        frames = _messages(Path(source.path), source.topic, [record.index for record in chosen.values()])
        masks = _messages(folder / source.masks, source.mask_topic, chosen)
        for record, frame, mask in zip_longest(chosen.values(), frames, masks):
            pixels, ids = _decode(frame, mask, record, source)
            truth = None
            if ground_truth and record.ground_truth:
                truth = read_label_file(ground_truth[record.bag] / record.ground_truth).astype(np.uint8)
            yield Picture(record.key, pixels, ids, truth)


def _messages(path: Path, topic: str, wanted: Collection[int]) -> Iterator[BagMessage]:
    """The messages of some numbers, from 0, in order."""
    if not wanted:
        return
    with closing(Bag(path).messages([topic])) as messages:
        for message in messages:
            if message.index in wanted:
                yield message
            if message.index >= max(wanted):
                return


def _decode(
    frame: Optional[BagMessage], mask: Optional[BagMessage], record: FrameRecord, source: Source
) -> Tuple[np.ndarray, np.ndarray]:
    """H x W x 3 uint8 BGR and H x W uint8 ids; raises BagError where they are not those of the record."""
    what = f"{record.title}, of {record.width}x{record.height} pixels"
    try:
        if frame is None or mask is None:
            raise ImageError("data", "it is not there")
        image, (mask_stamp_ns, ids) = decode_frame(frame), decode_mask(mask)
    except ImageError as error:
        raise BagError(f"{source.path} and {source.masks} do not have {what}: {error}") from error
    size = record.height, record.width
    if not image.stamp_ns == mask_stamp_ns == record.stamp_ns or not image.pixels.shape[:2] == ids.shape == size:
        raise BagError(f"{source.path} is no longer the bag that was evaluated: it does not have {what}")
    return image.pixels, ids
