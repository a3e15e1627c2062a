"""The pictures of a report, made again from the bag and the bag of its masks."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Collection, Dict, Generator, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.bags.bag_reader import Bag, BagError, BagMessage, decode_frame, decode_labels
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.ground_truth import TruthFolder
from bisenet_ros.evaluation.report.bag_report import Picture
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.errors import ImageError


class _Place(NamedTuple):
    """A frame's record, and its number among the masks of its topic."""

    mask: int
    record: FrameRecord


class PictureLoader:
    """Loads frames with their labels, in one pass over each topic, with one frame in memory at a time."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[Source],
        records: Iterable[FrameRecord],
        *,
        truth: Optional[Dict[str, TruthFolder]] = None,
    ) -> None:
        """
        Args:
            folder: of the report.
            records: of all its frames.
            truth: of each bag that has any, by its short name.
        """
        self._folder = folder
        self._sources = {(source.bag, source.topic): source for source in sources}
        self._records = records
        self._truth = truth or {}

    def __call__(self, keys: Collection[FrameKey]) -> Iterator[Picture]:
        """The frames asked for, in order within a topic.

        Raises:
            BagError: a bag cannot be read or is not the one that was evaluated. OSError: a bag is gone.
        """
        places = self._mask_places(set(keys))
        for topic, wanted in places.items():
            yield from self._load(self._sources[topic], wanted)

    def _mask_places(self, keys: Collection[FrameKey]) -> Dict[Tuple[str, str], Dict[int, _Place]]:
        """For each topic, the place of each frame that is wanted, by the frame's number."""
        masks: Dict[Tuple[str, str], int] = defaultdict(int)
        places: Dict[Tuple[str, str], Dict[int, _Place]] = defaultdict(dict)
        for record in self._records:
            topic = record.bag, record.topic
            if record.key in keys:
                places[topic][record.index] = _Place(masks[topic], record)
            masks[topic] += 1
        return places

    def _load(self, source: Source, wanted: Dict[int, _Place]) -> Iterator[Picture]:
        masks = self._messages(
            self._folder / source.masks, source.mask_topic, [place.mask for place in wanted.values()]
        )
        frames = self._messages(Path(source.path), source.topic, wanted)
        truth = self._truth.get(source.bag)
        with closing(masks), closing(frames):
            for number in sorted(wanted):
                record = wanted[number].record
                frame, labels = _decode(next(frames, None), next(masks, None), record, source)
                yield Picture(record.key, frame, labels, truth.read(record.stamp_ns, labels.shape) if truth else None)

    def _messages(self, path: Path, topic: str, wanted: Collection[int]) -> Generator[BagMessage, None, None]:
        last = max(wanted)
        with closing(Bag(path).messages([topic])) as messages:
            for message in messages:
                if message.index in wanted:
                    yield message
                if message.index >= last:
                    return


def _decode(
    image: Optional[BagMessage], mask: Optional[BagMessage], record: FrameRecord, source: Source
) -> Tuple[np.ndarray, np.ndarray]:
    """H x W x 3 uint8 BGR and H x W uint8 labels; raises BagError where they are not those of the record."""
    what = (
        f"frame {record.number} of {record.topic}, of {record.width} x {record.height} with stamp {record.stamp_ns} ns"
    )
    try:
        if image is None or mask is None:
            raise ImageError("data", "it is not there")
        frame, (mask_stamp_ns, labels) = decode_frame(image), decode_labels(mask)
    except ImageError as error:
        raise BagError(f"{source.path} and {source.masks} do not have {what}: {error}") from error
    size = record.height, record.width
    if not frame.stamp_ns == mask_stamp_ns == record.stamp_ns or not frame.pixels.shape[:2] == labels.shape == size:
        raise BagError(f"{source.path} is no longer the bag that was evaluated: it does not have {what}")
    return frame.pixels, labels
