"""The chunks of all bags put together: one file of records, a bag of masks for each bag, and what they tell."""

from __future__ import annotations

import json
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from bisenet_ros.bags.bag_reader import BagError, Topic
from bisenet_ros.bags.bag_writer import join_bags
from bisenet_ros.evaluation.bag_segmentation import CHUNK, END, OUTPUTS, BagTask
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.ground_truth import TruthError, TruthFolder
from bisenet_ros.evaluation.run_summary import Source


@dataclass(frozen=True)
class RecordCounts:
    """What the records say of the run.

    Attributes:
        frames, backwards: frames, and stamps that went backwards, by bag and topic.
        scored: frames with truth, by bag and stamp.
    """

    frames: Counter
    backwards: Counter
    scored: Counter


@dataclass(frozen=True)
class JoinedChunks:
    """The results of a run.

    Attributes:
        truth: of each bag that has any, by its short name.
        unused: stamps of the truth that are those of no frame of its bag.
    """

    records: RecordFile
    sources: List[Source]
    truth: Dict[str, TruthFolder]
    unused: List[int]
    counts: RecordCounts


def join_chunks(
    tasks: Sequence[BagTask], topics: Dict[str, List[Topic]], folder: Path, *, classes: int
) -> JoinedChunks:
    """Puts the chunks of all tasks together; again is harmless where it was interrupted.

    Args:
        topics: of images, by the bag's short name.
        folder: of the results.

    Raises:
        BagError: there is not one frame. TruthError: there is not one frame with truth.
    """
    records = RecordFile(folder / RECORDS)
    ends = {task.bag: _read_json(task.chunks / END) for task in tasks}
    chunks = {task.bag: _chunks(task, ends[task.bag]["messages"]) for task in tasks}
    _join_records(records.path, [chunk / RECORDS for task in tasks for chunk in chunks[task.bag]])
    counts = _count(records)
    sources = []
    for task in tasks:
        masks = "masks" if len(tasks) == 1 else f"{task.bag}/masks"
        damage = ends[task.bag]["damage"]
        sources += _sources(task, topics[task.bag], chunks[task.bag], masks=masks, damage=damage, counts=counts)
        parts = [chunk / f"masks_{number}" for number, chunk in enumerate(chunks[task.bag])]
        if parts:
            join_bags(parts, folder / masks)
    if not counts.frames:
        reasons = "; ".join(notice for source in sources for notice in source.notices)
        raise BagError(f"not one frame could be read: {reasons or 'the bags hold no message on the topics'}")
    truth = {task.bag: TruthFolder(task.truth, classes=classes) for task in tasks if task.truth}
    unused = _unused(truth, counts)
    if truth and not counts.scored:
        raise TruthError(
            f"none of the {len(unused)} stamps of the truth, such as {unused[0]}, is that of a frame, such as "
            f"{next(iter(records)).stamp_ns}"
        )
    return JoinedChunks(records, sources, truth, unused, counts)


def _chunks(task: BagTask, messages: int) -> List[Path]:
    return [task.chunk(number) for number in range(-(-messages // task.chunk_messages))]


def _join_records(target: Path, parts: Sequence[Path]) -> None:
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)


def _count(records: RecordFile) -> RecordCounts:
    counts = RecordCounts(Counter(), Counter(), Counter())
    last: Dict[Tuple[str, str], int] = defaultdict(int)
    for record in records:
        topic = record.bag, record.topic
        counts.frames[topic] += 1
        counts.backwards[topic] += record.stamp_ns < last[topic]
        last[topic] = record.stamp_ns
        if record.confusion is not None:
            counts.scored[record.bag, record.stamp_ns] += 1
    return counts


def _sources(
    task: BagTask,
    topics: Sequence[Topic],
    chunks: Sequence[Path],
    *,
    masks: str,
    damage: Sequence[str],
    counts: RecordCounts,
) -> List[Source]:
    summaries = [_read_json(chunk / CHUNK) for chunk in chunks]
    return [
        Source(
            bag=task.bag,
            path=str(task.path),
            topic=topic.name,
            message_type=topic.type,
            masks=masks,
            mask_topic=f"{task.topics[topic.name]}/{OUTPUTS[0]}",
            skipped=_skipped(summaries, topic.name),
            ended_early="; ".join(damage),
            backwards=counts.backwards[task.bag, topic.name],
        )
        for topic in topics
    ]


def _skipped(summaries: Sequence[Dict[str, Any]], topic: str) -> Dict[str, int]:
    """How many messages of a topic were skipped for each reason, which is told by the first of them."""
    counts: Counter = Counter()
    first: Dict[str, str] = {}
    for summary in summaries:
        counts.update(summary["skipped"][topic])
        first = {**summary["first"][topic], **first}
    return {f"{reason}, first in {first[reason]}": count for reason, count in counts.items()}


def _unused(truth: Dict[str, TruthFolder], counts: RecordCounts) -> List[int]:
    """By file, since several bags may share a folder of truth."""
    files = {file for truths in truth.values() for file in truths.files.values()}
    used = {truth[bag].files[stamp] for bag, stamp in counts.scored}
    return sorted(int(file.stem) for file in files - used)


def _read_json(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))
