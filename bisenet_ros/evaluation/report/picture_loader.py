"""Loads the frames that a report shows from the bag and the bag of its masks."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Callable, Collection, Dict, Generator, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import decode_frame, decode_mask
from bisenet_ros.bags.bag_reader import Bag, BagError, BagMessage
from bisenet_ros.errors import ImageError
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.ground_truth import GroundTruthFolder
from bisenet_ros.evaluation.run_summary import Source


class Picture(NamedTuple):
    """A frame as H x W x 3 uint8 BGR, its H x W uint8 mask, and its ground truth where there is one."""

    key: FrameKey
    frame: np.ndarray
    mask: np.ndarray
    ground_truth: Optional[np.ndarray]


LoadPictures = Callable[[Collection[FrameKey]], Iterator[Picture]]
"""Yields the frames asked for, in any order; each is dropped before the next."""


class _Place(NamedTuple):
    """A frame's record, its number among the masks of its topic, and how many frames before it have its stamp."""

    record: FrameRecord
    mask: int
    repeated: int


class PictureLoader:
    """Loads frames with their masks, in one pass over each topic, with one frame in memory at a time."""

    def __init__(
        self,
        folder: Path,
        sources: Sequence[Source],
        records: Iterable[FrameRecord],
        *,
        ground_truth: Optional[Dict[str, GroundTruthFolder]] = None,
    ) -> None:
        """
        Args:
            folder: of the report.
            records: of all its frames.
            ground_truth: of each bag that has any, by its short name.
        """
        self._folder = folder
        self._sources = {source.key: source for source in sources}
        self._records = records
        self._ground_truth = ground_truth or {}

    def __call__(self, keys: Collection[FrameKey]) -> Iterator[Picture]:
        """The frames asked for, in order within a topic.

        Raises:
            BagError: a bag cannot be read or is not the one that was evaluated. OSError: a bag is gone.
        """
        masks: Counter = Counter()
        stamps: Counter = Counter()
        places: Dict[Tuple[str, str], Dict[int, _Place]] = defaultdict(dict)
        for record in self._records:
            topic = record.key[:2]
            if record.key in keys:
                places[topic][record.index] = _Place(record, masks[topic], stamps[topic, record.stamp_ns])
            masks[topic] += 1
            stamps[topic, record.stamp_ns] += bool(self._ground_truth)
        for topic, wanted in places.items():
            yield from self._load(self._sources[topic], wanted)

    def _load(self, source: Source, wanted: Dict[int, _Place]) -> Iterator[Picture]:
        mask_numbers = {place.mask for place in wanted.values()}
        with closing(_messages(Path(source.path), source.topic, wanted)) as frames:
            with closing(_messages(self._folder / source.masks, source.mask_topic, mask_numbers)) as masks:
                for index in sorted(wanted):
                    place = wanted[index]
                    frame, mask = _decode(next(frames, None), next(masks, None), place.record, source)
                    yield Picture(place.record.key, frame, mask, self._find_ground_truth(place, mask))

    def _find_ground_truth(self, place: _Place, mask: np.ndarray) -> Optional[np.ndarray]:
        folder = self._ground_truth.get(place.record.bag)
        file = folder.find(place.record.stamp_ns, repeated=place.repeated) if folder else None
        return folder.read(file, mask.shape) if folder and file else None


def _messages(path: Path, topic: str, wanted: Collection[int]) -> Generator[BagMessage, None, None]:
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
    """H x W x 3 uint8 BGR and H x W uint8 ids; raises BagError where they are not those of the record."""
    size = record.height, record.width
    what = f"frame {record.number} of {record.topic}, of {size[1]}x{size[0]} with stamp {record.stamp_ns} ns"
    try:
        if image is None or mask is None:
            raise ImageError("data", "it is not there")
        frame, (mask_stamp_ns, ids) = decode_frame(image), decode_mask(mask)
    except ImageError as error:
        raise BagError(f"{source.path} and {source.masks} do not have {what}: {error}") from error
    if not frame.stamp_ns == mask_stamp_ns == record.stamp_ns or not frame.pixels.shape[:2] == ids.shape == size:
        raise BagError(f"{source.path} is no longer the bag that was evaluated: it does not have {what}")
    return frame.pixels, ids
