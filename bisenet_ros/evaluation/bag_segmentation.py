"""Segments one bag: its masks as a bag, a record of every frame, and what became of its messages.

The results lie in a folder that is there whole or not at all, so that a run that was stopped goes on with the bags that
are not done.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import IMAGE, BagFrame, decode_frame
from bisenet_ros.bags.bag_reader import Bag, BagMessage
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.engines import Engine
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.evaluation.frame_record import RECORDS, FrameMeasurer, RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthFolder
from bisenet_ros.evaluation.mask_topics import OUTPUTS
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.class_map import ClassMap

OPACITY = 0.5
"""Of the overlay, 0 to 1; the node's default."""
MASKS = "masks"
RESULT = "bag.json"


class EngineFailure(BisenetError):
    """An engine that failed on a frame, which the message names."""


@dataclass(frozen=True)
class BagTask:
    """What is to be made of one bag.

    Attributes:
        bag: its short name.
        topics: the namespace of the masks of each image topic.
        folder: of the results.
        masks: where the bag of masks lies in the end, relative to the report.
        outputs: of OUTPUTS.
        storage: of the masks, one of STORAGES.
        ground_truth: a folder for `GroundTruthFolder`.
        jobs: how many bags are segmented side by side, in words.
    """

    bag: str
    path: Path
    topics: Dict[str, str]
    folder: Path
    masks: str
    outputs: Tuple[str, ...]
    storage: str
    ground_truth: Optional[Path] = None
    jobs: str = "1"

    def mask_topics(self) -> Dict[str, str]:
        """The type of each topic of the masks."""
        return {f"{namespace}/{output}": IMAGE for namespace in self.topics.values() for output in self.outputs}


@dataclass(frozen=True)
class BagResult:
    """What became of a bag.

    Attributes:
        frames, scored: frames, and those with ground truth, of all topics.
        used: names of the files of ground truth that belong to a frame.
        jobs: as in the task.
    """

    sources: List[Source]
    frames: int
    scored: int
    used: List[str]
    jobs: str

    @staticmethod
    def read(folder: Path) -> BagResult:
        values = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        return BagResult(**{**values, "sources": [Source(**source) for source in values["sources"]]})


def segment_bag(task: BagTask, engine: Engine, *, progress: Callable[[], Any] = lambda: None) -> None:
    """Makes the task's folder, which appears when all of it is there.

    Args:
        progress: called after each message.

    Raises:
        BisenetError: the bag or a frame's ground truth cannot be used, or the engine failed. OSError.
    """
    task.folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{task.bag}.", suffix=".partial", dir=task.folder.parent))
    bag = Bag(task.path)
    with _Segmenter(task, engine, unfinished) as segmenter:
        for message in bag.messages(task.topics):
            segmenter.take(message)
            progress()
    write_json(unfinished / RESULT, asdict(segmenter.result(bag)))
    if task.folder.exists():  # another process was faster; its results are the same
        shutil.rmtree(unfinished)
    else:
        unfinished.rename(task.folder)


class _TopicState:
    """What is counted of one topic."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.measurer = FrameMeasurer(classes)
        self.read = 0
        self.skipped: Counter = Counter()
        self.first: Dict[str, str] = {}
        self.stamps: Counter = Counter()
        self.last_stamp_ns = -(2**63)
        self.backwards = 0

    def skip(self, message: BagMessage, error: ImageError) -> None:
        self.measurer = FrameMeasurer(self.classes)  # the next frame has no frame before it
        self.skipped[error.reason] += 1
        self.first.setdefault(error.reason, f"message {message.number}: {error}")

    def count(self, stamp_ns: int) -> int:
        """Takes a frame's stamp; how many frames before it have the same."""
        self.backwards += stamp_ns < self.last_stamp_ns
        self.last_stamp_ns = stamp_ns
        self.stamps[stamp_ns] += 1
        return self.stamps[stamp_ns] - 1


class _Segmenter:
    """Passes a bag's messages through the engine and writes what comes out."""

    def __init__(self, task: BagTask, engine: Engine, folder: Path) -> None:
        self._task = task
        self._engine = engine
        self._classes: ClassMap = engine.card.classes
        self._colors = self._classes.color_table()
        self._ground_truth = (
            GroundTruthFolder(task.ground_truth, classes=len(self._classes)) if task.ground_truth else None
        )
        self._warm: Set[Tuple[int, ...]] = set()
        self._topics = {topic: _TopicState(len(self._classes)) for topic in task.topics}
        self._types: Dict[str, str] = {}
        self._used: List[str] = []
        self._records = RecordFile(folder / RECORDS)
        self._records.path.touch()
        self._masks = BagWriter(folder / MASKS, storage=task.storage, topics=task.mask_topics())

    def __enter__(self) -> _Segmenter:
        self._masks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if error[0] is None:
            self._masks.__exit__(None, None, None)
        else:
            self._masks.abort()

    def take(self, message: BagMessage) -> None:
        topic = self._topics[message.topic]
        topic.read += 1
        try:
            frame = decode_frame(message)
        except ImageError as error:
            topic.skip(message, error)
            return
        mask, confidence, engine_ms = self._segment(frame)
        repeated = topic.count(frame.stamp_ns)
        file = self._ground_truth.find(frame.stamp_ns, repeated=repeated) if self._ground_truth else None
        record = topic.measurer.measure(
            frame.pixels,
            mask,
            confidence,
            bag=self._task.bag,
            topic=frame.topic,
            index=frame.index,
            stamp_ns=frame.stamp_ns,
            engine_ms=engine_ms,
            ground_truth=self._ground_truth.read(file, mask.shape) if self._ground_truth and file else None,
        )
        self._used += [file.name] if file else []
        self._records.append(record)
        self._write_masks(frame, mask)

    def result(self, bag: Bag) -> BagResult:
        return BagResult(
            sources=[self._source(bag, topic) for topic in self._task.topics],
            frames=sum(sum(topic.stamps.values()) for topic in self._topics.values()),
            scored=len(self._used),
            used=self._used,
            jobs=self._task.jobs,
        )

    def _source(self, bag: Bag, name: str) -> Source:
        topic, listed = self._topics[name], bag.topics[name]
        repeated = {stamp: count for stamp, count in topic.stamps.items() if count > 1}
        files = self._ground_truth.files if self._ground_truth else {}
        return Source(
            bag=self._task.bag,
            path=str(self._task.path),
            topic=name,
            message_type=listed.type,
            masks=self._task.masks,
            mask_topic=f"{self._task.topics[name]}/{OUTPUTS[0]}",
            skipped={f"{why}, first in {topic.first[why]}": count for why, count in topic.skipped.items()},
            ended_early="; ".join(bag.problems),
            backwards=topic.backwards,
            read=topic.read,
            promised=listed.messages,
            repeated=sum(repeated.values()) - len(repeated),
            unmatched=sum(len(files[stamp]) != count for stamp, count in repeated.items() if stamp in files),
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
            raise EngineFailure(
                f"{self._engine.description} failed on message {frame.index + 1} of {frame.topic} in "
                f"{self._task.path}: {error}"
            ) from error
        return mask, confidence, 1000 * (time.perf_counter() - start)

    def _write_masks(self, frame: BagFrame, mask: np.ndarray) -> None:
        makers: Dict[str, Callable[[], Tuple[np.ndarray, str]]] = {
            "mask": lambda: (mask, "mono8"),
            "color_mask": lambda: (paint(mask, self._colors), "rgb8"),
            "overlay": lambda: (blend(frame.pixels, mask, self._colors, opacity=OPACITY), "bgr8"),
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
