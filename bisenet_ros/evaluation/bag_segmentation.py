"""A bag's frames through the engine: their records and masks, in chunks that are there whole or not at all.

A chunk is a number of consecutive messages, always the same ones. So a run that was interrupted goes on at the first
chunk that is missing, several processes can share a bag, and the result is the same each time.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Generator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from bisenet_ros.bags.bag_reader import IMAGE, Bag, BagFrame, BagMessage, decode_frame
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.frame_record import RECORDS, FrameMeasurer, RecordFile
from bisenet_ros.evaluation.ground_truth import TruthFolder
from bisenet_ros.evaluation.read_ahead import read_ahead
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.errors import ImageError

OUTPUTS = ("mask", "color_mask", "overlay")
"""The topics of a bag of masks; the first is always there."""
OPACITY = 0.5
"""Of the overlay, as the node's default."""
CHUNK_MESSAGES = 64
"""As many are segmented again at most after an interruption, and as many masks are in one file of their bag."""
END = "end.json"
CHUNK = "chunk.json"


@dataclass(frozen=True)
class BagTask:
    """What is to be made of one bag.

    Attributes:
        bag: its short name.
        topics: the namespace of the masks of each image topic.
        chunks: the folder of the chunks.
        outputs: of OUTPUTS.
        storage: of the masks, one of STORAGES.
        truth: a folder for `TruthFolder`.
    """

    bag: str
    path: Path
    topics: Dict[str, str]
    chunks: Path
    outputs: Tuple[str, ...]
    storage: str
    truth: Optional[Path] = None
    chunk_messages: int = CHUNK_MESSAGES

    def chunk(self, number: int) -> Path:
        return self.chunks / f"{number:06d}"

    def mask_topics(self) -> Dict[str, str]:
        """The type of each topic of the masks."""
        return {f"{namespace}/{output}": IMAGE for namespace in self.topics.values() for output in self.outputs}


@dataclass(frozen=True)
class Share:
    """The chunks of one process: every `of`-th from `number`."""

    number: int
    of: int


WHOLE = Share(0, 1)


class Step(NamedTuple):
    """A message on its way.

    Attributes:
        frame: None where the message cannot be read, which `problem` explains.
        known: its record is another chunk's; it is here as the frame before.
    """

    chunk: int
    message: BagMessage
    frame: Optional[BagFrame]
    problem: Optional[ImageError]
    known: bool


class Segmented(NamedTuple):
    step: Step
    labels: Optional[np.ndarray]
    confidence: Optional[np.ndarray]
    engine_ms: float


def segment_bag(
    task: BagTask, engine: Engine, *, share: Share = WHOLE, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Makes the chunks of a share that are missing; reading, the engine and the rest work side by side.

    Args:
        progress: called with the number of messages that are done.

    Raises:
        BagError: the bag cannot be read. TruthError: a frame's truth cannot be used. ValueError: the engine failed.
    """
    task.chunks.mkdir(parents=True, exist_ok=True)
    truth = TruthFolder(task.truth, classes=len(engine.card.classes)) if task.truth else None
    writer: Optional[_ChunkWriter] = None
    measurers: Dict[str, FrameMeasurer] = {}
    try:
        with closing(read_ahead(_segment(read_ahead(_steps(task, share)), engine))) as segmented:
            for found in segmented:
                step = found.step
                if writer is None or writer.number != step.chunk:
                    if writer:
                        writer.finish()
                    writer = _ChunkWriter(task, engine, measurers, truth, number=step.chunk)
                writer.add(found)
                if not step.known:
                    progress(1)
        if writer:
            writer.finish()
    except BaseException:
        if writer:
            writer.abandon()
        raise


def done_messages(task: BagTask) -> int:
    """How many messages the chunks hold that are done."""
    return sum(json.loads(path.read_text())["messages"] for path in task.chunks.glob(f"*[0-9]/{CHUNK}"))


def _steps(task: BagTask, share: Share) -> Generator[Step, None, None]:
    bag = Bag(task.path)
    before: Dict[str, BagMessage] = {}
    after_gap = True
    count = 0
    for message in bag.messages(task.topics):
        chunk = count // task.chunk_messages
        count += 1
        if chunk % share.of == share.number and not task.chunk(chunk).exists():
            if after_gap:
                for known in before.values():
                    yield _decode(known, chunk=chunk, known=True)
            after_gap = False
            yield _decode(message, chunk=chunk)
        else:
            after_gap = True
        before[message.topic] = message
    if share.number == 0:
        write_json(task.chunks / END, {"messages": count, "damage": bag.damage})


def _decode(message: BagMessage, *, chunk: int, known: bool = False) -> Step:
    try:
        return Step(chunk, message, decode_frame(message), None, known)
    except ImageError as error:
        return Step(chunk, message, None, error, known)


def _segment(steps: Generator[Step, None, None], engine: Engine) -> Generator[Segmented, None, None]:
    # One frame at a time: a GPU may label the pixels of a batch a little differently, by what else is in it.
    warm: Set[Tuple[int, ...]] = set()
    with closing(steps):
        for step in steps:
            if step.frame is None:
                yield Segmented(step, None, None, 0.0)
                continue
            pixels = step.frame.pixels
            try:
                if pixels.shape not in warm:  # the first of a size costs far more, and would spoil the engine's times
                    engine.segment(pixels, confidence=True)
                    warm.add(pixels.shape)
                start = time.perf_counter()
                labels, confidence = engine.segment(pixels, confidence=True)
            except RuntimeError as error:
                message = step.message
                raise ValueError(
                    f"{engine.description} failed on message {message.number} of {message.topic}: {error}"
                ) from error
            yield Segmented(step, labels, confidence, 1000 * (time.perf_counter() - start))


class _ChunkWriter:
    """Writes one chunk: its records, its part of the masks and what was skipped."""

    def __init__(
        self,
        task: BagTask,
        engine: Engine,
        measurers: Dict[str, FrameMeasurer],
        truth: Optional[TruthFolder],
        *,
        number: int,
    ) -> None:
        self.number = number
        self._task = task
        self._labels = engine.card.classes
        self._colors = self._labels.color_table()
        self._measurers = measurers
        self._truth = truth
        self._messages = 0
        self._skipped: Dict[str, Counter] = {topic: Counter() for topic in task.topics}
        self._first: Dict[str, Dict[str, str]] = {topic: {} for topic in task.topics}
        self._folder = task.chunk(number).with_suffix(".partial")
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._records = RecordFile(self._folder / RECORDS)
        self._records.path.touch()
        self._masks = BagWriter(
            self._folder / f"masks_{number}", storage=task.storage, topics=task.mask_topics()
        ).__enter__()

    def add(self, found: Segmented) -> None:
        step, frame, labels = found.step, found.step.frame, found.labels
        topic = step.message.topic
        if not step.known:
            self._messages += 1
        if frame is None or labels is None or found.confidence is None:
            self._measurers.pop(topic, None)  # the next frame has no frame before it
            self._skip(step)
            return
        if step.known:
            self._measurers[topic] = FrameMeasurer(self._labels)
            self._measurers[topic].remember(frame.pixels, labels, stamp_ns=frame.stamp_ns)
            return
        measurer = self._measurers.setdefault(topic, FrameMeasurer(self._labels))
        record = measurer.measure(
            frame.pixels,
            labels,
            found.confidence,
            bag=self._task.bag,
            topic=topic,
            index=frame.index,
            stamp_ns=frame.stamp_ns,
            engine_ms=found.engine_ms,
            truth=self._truth.read(frame.stamp_ns, labels.shape) if self._truth else None,
        )
        self._records.append(record)
        self._write_masks(frame, labels)

    def finish(self) -> None:
        """The chunk is there."""
        self._masks.__exit__(None, None, None)
        write_json(self._folder / CHUNK, {"messages": self._messages, "skipped": self._skipped, "first": self._first})
        self._folder.rename(self._task.chunk(self.number))

    def abandon(self) -> None:
        """The chunk will be made again."""
        self._masks.abort()

    def _skip(self, step: Step) -> None:
        if step.known or step.problem is None:
            return
        topic, reason = step.message.topic, step.problem.reason
        self._skipped[topic][reason] += 1
        self._first[topic].setdefault(reason, f"message {step.message.number}: {step.problem}")

    def _write_masks(self, frame: BagFrame, labels: np.ndarray) -> None:
        makers: Dict[str, Callable[[], Tuple[np.ndarray, str]]] = {
            "mask": lambda: (labels, "mono8"),
            "color_mask": lambda: (paint(labels, self._colors), "rgb8"),
            "overlay": lambda: (blend(frame.pixels, labels, self._colors, opacity=OPACITY), "bgr8"),
        }
        for output in self._task.outputs:
            pixels, encoding = makers[output]()
            self._masks.write_image(
                f"{self._task.topics[frame.topic]}/{output}",
                pixels,
                encoding=encoding,
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                log_ns=frame.log_ns,
            )


def mask_namespaces(topics: List[str]) -> Dict[str, str]:
    """Where the masks of each image topic go, as the node's: /segmentation, or /segmentation/CAMERA for several."""
    if len(topics) == 1:
        return {topics[0]: "/segmentation"}
    cameras = {topic: _camera(topic) for topic in topics}
    if len(set(cameras.values())) < len(topics):
        cameras = {topic: topic.strip("/") for topic in topics}
    return {topic: f"/segmentation/{camera}" for topic, camera in cameras.items()}


def _camera(topic: str) -> str:
    """The "front" of /front/image_raw and of /front/image_raw/compressed."""
    parts = topic.strip("/").split("/")
    if parts[-1] == "compressed":
        parts = parts[:-1]
    return "/".join(parts[:-1] if parts[:-1] and parts[-1].startswith("image") else parts)
