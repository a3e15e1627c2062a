# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Segments one bag: its masks as a bag, a record of every frame, and what became of its messages.

The results lie in a folder that is there whole or not at all, so that a run that was stopped goes on with the bags that
are not done.
"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Set, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import IMAGE, BagFrame, decode_frame, read_stamp
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.bags.storage import BagMessage
from bisenet_ros.engines import Engine
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.evaluation import OUTPUTS
from bisenet_ros.evaluation.bag_task import MASKS, SOURCES, BagTask
from bisenet_ros.evaluation.frame_record import RECORDS, FrameMeasurer, RecordFile
from bisenet_ros.evaluation.ground_truth import list_ground_truth, read_ground_truth
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.files.result_folder import flush, unfinished_folder
from bisenet_ros.images import OPACITY
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.class_groups import show_unlisted

ENGINE_TIME = (
    "of each frame by itself, from its pixels to its mask and their confidence; the first frame of each size is "
    "segmented once before, for every bag, which warms the engine up and does not count"
)
"""What the engine's time is, human-readable, in reports."""


def segment_bag(task: BagTask, engine: Engine, *, progress: Callable[[], Any] = lambda: None) -> None:
    """Makes the task's folder, which appears when all of it is there.

    Calls `progress` after each message. Raises BisenetError where the bag or a frame's ground truth cannot be used, or
    the engine failed; OSError.
    """
    with unfinished_folder(task.folder) as unfinished:
        unfinished.mkdir()
        _fill(unfinished, task, engine, progress)
        flush(unfinished)
        if not task.folder.exists():  # else another process was faster; its results are the same
            unfinished.rename(task.folder)


def _fill(folder: Path, task: BagTask, engine: Engine, progress: Callable[[], Any]) -> None:
    bag = Bag(task.path)
    records = RecordFile(folder / RECORDS)
    records.path.touch()
    types = {f"{namespace}/{output}": IMAGE for namespace in task.topics.values() for output in task.outputs}
    with BagWriter(folder / MASKS, storage=task.storage, topics=types) as masks:
        segmenter = _Segmenter(task, engine, bag, records, masks)
        for message in bag.messages(task.topics):
            segmenter.take(message)
            progress()
    write_json(folder / SOURCES, [asdict(source) for source in segmenter.sources()])


class _TopicState:
    """What is counted of one topic, and what its next frame is compared with."""

    def __init__(self, source: Source, classes: int) -> None:
        self.source = source
        self.reasons: Dict[str, str] = {}
        self.stamps: Counter = Counter()
        self.last_stamp_ns = -(2**63)
        self.measurer = FrameMeasurer(classes)

    def skip(self, message: BagMessage, error: ImageError) -> None:
        """Counts a message that cannot be read, and its stamp, so that ground truth of later frames stays theirs."""
        with suppress(ImageError):
            self.stamps[read_stamp(message)] += 1
        first = f"{error.reason}, first in message {message.number}: {error}"
        reason = self.reasons.setdefault(error.reason, first)
        self.source.skipped[reason] = self.source.skipped.get(reason, 0) + 1

    def add(self, stamp_ns: int) -> int:
        """Takes a frame's stamp; how many frames before it have the same."""
        earlier = self.stamps[stamp_ns]
        self.source.frames += 1
        self.source.repeated += earlier > 0
        self.source.backwards += stamp_ns < self.last_stamp_ns
        self.last_stamp_ns = stamp_ns
        self.stamps[stamp_ns] += 1
        return earlier


class _Segmenter:
    """Passes a bag's messages through the engine and writes what comes out."""

    def __init__(self, task: BagTask, engine: Engine, bag: Bag, records: RecordFile, masks: BagWriter) -> None:
        self._task, self._engine, self._bag, self._records, self._masks = task, engine, bag, records, masks
        self._classes = len(engine.card.classes)  # with one for what a class map leaves out
        self._colors = engine.card.classes.color_table()
        self._ground_truth = list_ground_truth(task.ground_truth) if task.ground_truth else {}
        self._warm: Set[Tuple[int, ...]] = set()
        self._log_ns = 0
        self._topics = {topic: _TopicState(self._source(topic), self._classes) for topic in task.topics}

    def take(self, message: BagMessage) -> None:
        topic = self._topics[message.topic]
        topic.source.read += 1
        try:
            frame = decode_frame(message)
        except ImageError as error:
            topic.skip(message, error)
            topic.measurer = FrameMeasurer(self._classes)  # the next frame has no frame before it
            return
        mask, confidence, engine_ms = self._segment(frame)
        number = topic.add(frame.stamp_ns) + 1
        file = self._ground_truth.get(frame.stamp_ns, {}).get(number)
        record = topic.measurer.measure(
            frame,
            show_unlisted(mask, self._engine.card.classes),
            confidence,
            bag=self._task.bag,
            engine_ms=engine_ms,
            ground_truth=read_ground_truth(file, classes=self._classes, size=mask.shape) if file else None,
        )
        self._records.append(replace(record, ground_truth=file.name if file else None))
        self._write_masks(frame, mask)

    def sources(self) -> Iterator[Source]:
        """What became of each topic's messages, after the last one."""
        for topic in self._topics.values():
            topic.source.ended_early = "; ".join(self._bag.problems)
            repeated = [stamp for stamp, count in topic.stamps.items() if count > 1 and stamp in self._ground_truth]
            topic.source.unmatched = sum(len(self._ground_truth[at]) != topic.stamps[at] for at in repeated)
            yield topic.source

    def _source(self, topic: str) -> Source:
        return Source(
            bag=self._task.bag,
            path=str(self._task.path),
            topic=topic,
            message_type=self._bag.topics[topic].type,
            masks=self._task.masks,
            mask_topic=f"{self._task.topics[topic]}/{OUTPUTS[0]}",
            skipped={},
            jobs=self._task.jobs,
            promised=self._bag.topics[topic].messages,
        )

    def _segment(self, frame: BagFrame) -> Tuple[np.ndarray, np.ndarray, float]:
        """The mask, the confidence and the engine's milliseconds.

        One frame at a time: a GPU may give pixels of a batch another class, by what else is in it.
        """
        pixels = frame.pixels
        try:
            if pixels.shape not in self._warm:  # the first of a size costs far more
                self._engine.segment(pixels, confidence=True)
                self._warm.add(pixels.shape)
            start = time.perf_counter()
            mask, confidence = self._engine.segment(pixels, confidence=True)
        except RuntimeError as error:
            place = f"message {frame.index + 1} of {frame.topic} in {self._task.path}"
            raise BisenetError(f"{self._engine.description} failed on {place}: {error}") from error
        return mask, confidence, 1000 * (time.perf_counter() - start)

    def _write_masks(self, frame: BagFrame, mask: np.ndarray) -> None:
        # Readers sort by it, and masks have the order of the frames; SQLite takes no more than 2^63 - 1.
        self._log_ns = max(self._log_ns, min(frame.log_ns, 2**63 - 1))
        header: Dict[str, Any] = {"stamp_ns": frame.stamp_ns, "frame_id": frame.frame_id, "log_ns": self._log_ns}
        for output in self._task.outputs:
            if output == "mask":
                pixels, encoding = mask, "mono8"
            elif output == "color_mask":
                pixels, encoding = paint(mask, self._colors), "rgb8"
            else:
                pixels, encoding = blend(frame.pixels, mask, self._colors, opacity=OPACITY), "bgr8"
            self._masks.write_image(f"{self._task.topics[frame.topic]}/{output}", pixels, encoding=encoding, **header)
