"""The pictures of a report, made again from the bag and the bag of its masks."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Collection, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.bags.bag_reader import Bag, decode_frame, decode_labels
from bisenet_ros.evaluation.frame_record import FrameKey, FrameRecord
from bisenet_ros.evaluation.report.bag_report import Picture
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.evaluation.truth import TruthFolder


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
            BagError: a bag is gone or cannot be read. FileNotFoundError.
        """
        places = self._mask_places(set(keys))
        for topic, wanted in places.items():
            yield from self._load(self._sources[topic], wanted)

    def _mask_places(self, keys: Collection[FrameKey]) -> Dict[Tuple[str, str], Dict[int, int]]:
        """For each topic, the number among its masks of each frame that is wanted."""
        masks: Dict[Tuple[str, str], int] = defaultdict(int)
        places: Dict[Tuple[str, str], Dict[int, int]] = defaultdict(dict)
        for record in self._records:
            topic = record.bag, record.topic
            if record.key in keys:
                places[topic][record.index] = masks[topic]
            masks[topic] += 1
        return places

    def _load(self, source: Source, wanted: Dict[int, int]) -> Iterator[Picture]:
        masks = self._masks(source, sorted(wanted.values()))
        left = len(wanted)
        with closing(Bag(Path(source.path)).messages([source.topic])) as messages:
            for message in messages:
                if message.index not in wanted:
                    continue
                frame = decode_frame(message)
                labels = next(masks)
                truth = self._truth.get(source.bag)
                yield Picture(
                    (source.bag, source.topic, message.index),
                    frame.pixels,
                    labels,
                    truth.read(frame.stamp_ns, labels.shape) if truth else None,
                )
                left -= 1
                if not left:
                    return

    def _masks(self, source: Source, wanted: List[int]) -> Iterator[np.ndarray]:
        numbers = set(wanted)
        for message in Bag(self._folder / source.masks).messages([source.mask_topic]):
            if message.index in numbers:
                yield decode_labels(message)[1]
