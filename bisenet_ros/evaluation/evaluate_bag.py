"""A model on recorded bags: `bisenet evaluate-bag BAG --model M -o OUT`; masks as a bag, and a report."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from tqdm import tqdm

from bisenet_ros.bags.bag_reader import Bag, BagError, Topic, choose_topics, find_bags
from bisenet_ros.bags.bag_writer import STORAGES, join_bags
from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.loader import DEVICES, PRECISIONS
from bisenet_ros.evaluation.bag_jobs import LoadEngine, segment_in_processes
from bisenet_ros.evaluation.bag_segmentation import (
    CHUNK,
    CHUNK_MESSAGES,
    END,
    OUTPUTS,
    BagTask,
    done_messages,
    mask_namespaces,
    segment_bag,
)
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.node_replay import NodeReplay
from bisenet_ros.evaluation.report.bag_report import REPORT, write_report
from bisenet_ros.evaluation.report.report_pictures import PictureLoader
from bisenet_ros.evaluation.run_folder import RunFolder
from bisenet_ros.evaluation.run_summary import RunSummary, Source
from bisenet_ros.evaluation.truth import TruthError, TruthFolder, export_truth
from bisenet_ros.machine import describe_machine
from bisenet_ros.model_card import ModelError

IMPERFECT = 3
INTERRUPTED = 130
SHOWN = 5
"""How many stamps a warning names."""
DESCRIPTION = f"""\
Segments every frame of ROS 2 bags (sqlite3 or MCAP, compressed or not; folders, files, or folders of bags) and reports
on it; no ROS is needed. OUT gets the masks as a bag (OUT/masks, or OUT/NAME/masks for several bags), report.html,
report.json, report.csv and frames.jsonl. It appears when all is done; until then the work lies in OUT.partial, and the
same command goes on there where it was stopped. Exit codes: 0 all is well; 1 an error, there is no OUT; {IMPERFECT}
done, but a bag was damaged, messages could not be read, the node's masks differ, or its replay failed, which the report
names; {INTERRUPTED} stopped by Ctrl-C."""


@dataclass(frozen=True)
class Request:
    """What is asked for; see `add_arguments`."""

    bags: Sequence[Path]
    model: Path
    output: Path
    device: str = "auto"
    precision: str = "auto"
    topics: Sequence[str] = ()
    truth_topic: Optional[str] = None
    truth_folder: Optional[Path] = None
    outputs: Tuple[str, ...] = OUTPUTS[:1]
    storage: str = STORAGES[0]
    jobs: int = 1
    through_node: bool = False
    rate: float = 1.0
    restart: bool = False
    chunk_messages: int = CHUNK_MESSAGES


@dataclass(frozen=True)
class _Found:
    """What the records say of the run.

    Attributes:
        frames, backwards: frames, and stamps that went backwards, by bag and topic.
        scored: frames with truth, by bag and stamp.
    """

    frames: Counter
    backwards: Counter
    scored: Counter


@dataclass(frozen=True)
class _Results:
    """The chunks put together.

    Attributes:
        truth: of each bag that has any.
        unused: stamps of the truth that are those of no frame of its bag.
    """

    records: RecordFile
    sources: List[Source]
    truth: Dict[str, TruthFolder]
    unused: List[int]
    found: _Found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("bags", type=Path, nargs="*", metavar="BAG", help="bags, or folders of bags")
    parser.add_argument("--model", type=Path, required=True, help="a model file (.onnx)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument(
        "--topic",
        nargs="+",
        action="extend",
        default=[],
        metavar="T",
        help="image topics, after the bags; default: the only one that there is",
    )
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument("--truth-topic", metavar="T", help="masks of ids in the bag (mono8), by the frames' stamps")
    truth.add_argument(
        "--truth-dir", type=Path, metavar="DIR", help="masks as <stamp in ns>.png, one channel, 255 is ignored"
    )
    parser.add_argument(
        "--topics",
        type=_outputs,
        default=OUTPUTS[:1],
        metavar="LIST",
        help=f"what the bag of masks holds, of {','.join(OUTPUTS)}; default mask, which is always there",
    )
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0], help="of the masks; MCAP is far smaller")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes, which share the cores; default 1"
    )
    parser.add_argument(
        "--through-node",
        action="store_true",
        help="also replay the bags in real time through the running node, and report what differs; needs ROS 2",
    )
    parser.add_argument("--rate", type=_rate, default=1.0, help="of that replay: 2 is twice the bag's pace; default 1")
    parser.add_argument("--restart", action="store_true", help="throw away what an earlier run left in OUT")


def run(arguments: argparse.Namespace) -> int:
    if not arguments.bags:
        raise ValueError("no bag given; write the bags before --topic, which takes all names that follow it")
    request = Request(
        bags=arguments.bags,
        model=arguments.model,
        output=arguments.output,
        device=arguments.device,
        precision=arguments.precision,
        topics=arguments.topic,
        truth_topic=arguments.truth_topic,
        truth_folder=arguments.truth_dir,
        outputs=arguments.topics,
        storage=arguments.storage,
        jobs=arguments.jobs,
        through_node=arguments.through_node,
        rate=arguments.rate,
        restart=arguments.restart,
    )
    return evaluate_bags(request, load=partial(load_engine, request.model, request.device, request.precision))


def evaluate_bags(request: Request, *, load: LoadEngine) -> int:
    """The whole run; the exit code.

    Args:
        load: makes the engine for the request's model; can be pickled where there are several jobs.

    Raises:
        BagError, TruthError, ModelError: something of the input cannot be used. ValueError: the output's folder is not
            this run's, or an engine failed. OSError: a file cannot be read or written.
    """
    if request.through_node:
        _require_ros()  # before an hour of work
    folder = RunFolder(request.output)
    bags, chosen, left_out = _open_bags(request, but=(folder.output, folder.partial))
    engine = _load(load, request.model)
    asked = _all_that_matters(request, bags, chosen, engine)
    finished = folder.begin(asked, restart=request.restart)
    if finished is not None:
        print(f"{request.output} is finished already; --restart makes it again")
        return finished
    try:
        tasks = [_make_task(request, folder, bag, name, chosen[name], engine) for name, bag in bags.items()]
        pace = _segment(request, tasks, load, engine)
        results = _gather(folder, tasks, chosen, classes=len(engine.card.labels))
        exit_code = _report(request, folder, results, engine, pace, left_out=left_out)
        folder.finish(asked, exit_code=exit_code)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on from here ({folder.partial})", file=sys.stderr)
        return INTERRUPTED
    except (BagError, TruthError):
        folder.discard()  # the same command would end here again
        raise
    finally:
        folder.close()
    print(f"report: {request.output / 'report.html'}")
    return exit_code


def _open_bags(request: Request, *, but: Sequence[Path]) -> Tuple[Dict[str, Bag], Dict[str, List[Topic]], List[str]]:
    """The bags and their topics by a short name, each its own, and which of several were left out and why.

    Args:
        but: earlier results in a folder of bags, which are none of them.

    Raises:
        BagError: not one can be used.
    """
    bags: Dict[str, Bag] = {}
    chosen: Dict[str, List[Topic]] = {}
    left_out: List[str] = []
    paths = [found for given in request.bags for found in find_bags(given, but=but)]
    for path in paths:
        short = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
        name, number = short, 2
        while name in bags:
            name, number = f"{short}_{number}", number + 1
        try:
            bag = Bag(path)
            chosen[name] = _choose(bag, request)
        except BagError as error:  # one empty recording must not cost the others a night
            if len(paths) == 1:
                raise
            left_out.append(f"left out: {error}")
            continue
        bags[name] = bag
    if not bags:
        raise BagError(f"none of the bags can be used: {'; '.join(left_out) or 'there is none'}")
    return bags, chosen, left_out


def _choose(bag: Bag, request: Request) -> List[Topic]:
    chosen = choose_topics(bag, request.topics, but=[request.truth_topic] if request.truth_topic else [])
    if len(chosen) > 1 and (request.truth_topic or request.truth_folder):
        names = ", ".join(topic.name for topic in chosen)
        raise TruthError(f"expected one --topic, whose frames the truth is for, got {len(chosen)}: {names}")
    return chosen


def _load(load: LoadEngine, model: Path) -> Engine:
    try:
        return load()
    except ModuleNotFoundError as error:
        raise ModelError(f"{model} cannot be run: {error}") from error


def _all_that_matters(
    request: Request, bags: Dict[str, Bag], chosen: Dict[str, List[Topic]], engine: Engine
) -> Dict[str, Any]:
    """What the results depend on, as JSON has it."""
    truth = request.truth_folder
    return {
        "bags": {name: [str(bag.path.resolve()), *map(_fingerprint, bag.files)] for name, bag in bags.items()},
        "model": _sha256(request.model),
        "engine": engine.description,
        "topics": {name: [topic.name for topic in topics] for name, topics in chosen.items()},
        "truth topic": request.truth_topic,
        "truth": [str(truth), *map(_fingerprint, sorted(truth.glob("*.png")))] if truth else None,
        "masks": [*request.outputs, request.storage],
        "messages in a chunk": request.chunk_messages,
        "through the node": request.rate if request.through_node else None,
    }


def _make_task(
    request: Request, folder: RunFolder, bag: Bag, name: str, topics: List[Topic], engine: Engine
) -> BagTask:
    truth, classes = request.truth_folder, len(engine.card.labels)
    if truth:
        TruthFolder(truth, classes=classes).check()  # a wrong file is told before the work begins
    if request.truth_topic:
        truth = folder.partial / "truth" / name
        if not truth.exists():
            export_truth(bag, request.truth_topic, truth, classes=classes)
    return BagTask(
        bag=name,
        path=bag.path.resolve(),
        topics=mask_namespaces([topic.name for topic in topics]),
        chunks=folder.partial / "chunks" / name,
        outputs=request.outputs,
        storage=request.storage,
        truth=truth,
        chunk_messages=request.chunk_messages,
    )


def _segment(request: Request, tasks: Sequence[BagTask], load: LoadEngine, engine: Engine) -> Dict[str, str]:
    """Makes all chunks; the pace, for people."""
    total = sum(Bag(task.path).topics[topic].messages for task in tasks for topic in task.topics)
    done = sum(map(done_messages, tasks))
    start = time.perf_counter()
    frames = 0
    with tqdm(total=total, initial=done, desc="segmenting", unit="frame", disable=None) as bar:

        def progress(messages: int) -> None:
            nonlocal frames
            frames += messages
            bar.update(messages)

        if request.jobs > 1:
            engine.close()
            segment_in_processes(tasks, load, jobs=request.jobs, progress=progress)
        else:
            for task in tasks:
                segment_bag(task, engine, progress=progress)
            engine.close()
    if not frames:
        return {}
    seconds = time.perf_counter() - start
    return {"frames per second offline": f"{frames / seconds:.1f} (reading, decoding, measuring and writing included)"}


def _gather(folder: RunFolder, tasks: Sequence[BagTask], chosen: Dict[str, List[Topic]], *, classes: int) -> _Results:
    """Puts the chunks together.

    Raises:
        BagError: there is not one frame. TruthError: there is not one frame with truth.
    """
    records = RecordFile(folder.result / RECORDS)
    ends = {task.bag: _read_json(task.chunks / END) for task in tasks}
    chunks = {task.bag: _chunks(task, ends[task.bag]["messages"]) for task in tasks}
    _join_records(records.path, [chunk / RECORDS for task in tasks for chunk in chunks[task.bag]])
    found = _look_through(records)
    sources = []
    for task in tasks:
        masks = "masks" if len(tasks) == 1 else f"{task.bag}/masks"
        damage = ends[task.bag]["damage"]
        sources += _sources(task, chosen[task.bag], chunks[task.bag], masks=masks, damage=damage, found=found)
        parts = [chunk / f"masks_{number}" for number, chunk in enumerate(chunks[task.bag])]
        if parts:
            join_bags(parts, folder.result / masks)
    if not found.frames:
        reasons = "; ".join(notice for source in sources for notice in source.notices)
        raise BagError(f"not one frame could be read: {reasons or 'the bags hold no message on the topics'}")
    truth = {task.bag: TruthFolder(task.truth, classes=classes) for task in tasks if task.truth}
    # By file, since several bags may share a folder of truth.
    files = {file for truths in truth.values() for file in truths.files.values()}
    unused = sorted(int(file.stem) for file in files - {truth[bag].files[stamp] for bag, stamp in found.scored})
    if truth and not found.scored:
        raise TruthError(
            f"none of the {len(unused)} stamps of the truth, such as {unused[0]}, is that of a frame, such as "
            f"{next(iter(records)).stamp_ns}"
        )
    return _Results(records, sources, truth, unused, found)


def _report(
    request: Request,
    folder: RunFolder,
    results: _Results,
    engine: Engine,
    pace: Dict[str, str],
    *,
    left_out: Sequence[str],
) -> int:
    """Writes the report and warns; the exit code."""
    found = results.found
    scored = (
        {"frames with truth": f"{sum(found.scored.values())} of {sum(found.frames.values())}"} if results.truth else {}
    )
    replays, failures = _replay(request, folder, results) if request.through_node else ([], [])
    write_report(
        folder.result,
        results.records,
        RunSummary(
            labels=engine.card.labels,
            model={"file": request.model.name, "sha256": _sha256(request.model), "architecture": engine.card.name},
            engine=engine.description,
            machine=describe_machine(),
            protocol={**scored, **pace, "jobs": str(request.jobs)},
            sources=results.sources,
            through_node=tuple(replays),
            notices=(*left_out, *failures),
        ),
        load_pictures=PictureLoader(folder.result, results.sources, results.records, truth=results.truth),
    )
    for source in results.sources:
        for notice in source.notices:
            _warn(f"{source.bag}, {source.topic}: {notice}")
    if results.unused:
        shown = ", ".join(map(str, results.unused[:SHOWN])) + (" and more" if results.unused[SHOWN:] else "")
        _warn(f"{len(results.unused)} stamps of the truth are those of no frame: {shown}")
    for replay in replays:
        if replay.differing_pixels:
            _warn(f"{replay.bag}, {replay.topic}: the node's masks differ in {replay.differing_pixels} pixels")
    damaged = any(source.skipped or source.ended_early for source in results.sources)
    for failure in (*left_out, *failures):
        _warn(failure)
    _tell(results, replays)
    return IMPERFECT if damaged or left_out or failures or any(replay.differing_pixels for replay in replays) else 0


def _tell(results: _Results, replays: Sequence[NodeReplay]) -> None:
    """The report in a few lines."""
    frames = sum(results.found.frames.values())
    miou = json.loads((results.records.path.parent / REPORT).read_text()).get("miou")
    print(f"{frames} frames" + (f", mIoU {100 * miou:.2f} %" if miou is not None else ""))
    for replay in replays:
        print(
            f"through the node: {replay.received} of {replay.sent} frames of {replay.bag} {replay.topic}, "
            f"{replay.differing_pixels} pixels differ"
        )


def _replay(request: Request, folder: RunFolder, results: _Results) -> Tuple[List[NodeReplay], List[str]]:
    """The replays of all sources with frames, and what kept the others from it, in words."""
    from bisenet_ros.node.through_node import replay_through_node

    replays, failures = [], []
    for source in results.sources:
        if not results.found.frames[source.bag, source.topic]:
            continue
        try:
            replay = replay_through_node(
                source,
                results.records,
                folder=folder.result,
                model=request.model,
                device=request.device,
                precision=request.precision,
                rate=request.rate,
            )
        except Exception as error:  # whatever ROS raises: the offline result is done, and is not lost for it
            failures.append(f"{source.bag}, {source.topic}: the replay through the node failed: {error}")
        else:
            replays.append(replay)
    return replays, failures


def _require_ros() -> None:
    try:
        import bisenet_ros.node.through_node  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--through-node needs the Python package {error.name!r}; source ROS 2, or install the wheels with "
            "`pip install '.[ros]'` in the checkout"
        ) from error


def _look_through(records: RecordFile) -> _Found:
    found = _Found(Counter(), Counter(), Counter())
    last: Dict[Tuple[str, str], int] = defaultdict(int)
    for record in records:
        topic = record.bag, record.topic
        found.frames[topic] += 1
        found.backwards[topic] += record.stamp_ns < last[topic]
        last[topic] = record.stamp_ns
        if record.confusion is not None:
            found.scored[record.bag, record.stamp_ns] += 1
    return found


def _sources(
    task: BagTask, topics: List[Topic], chunks: Sequence[Path], *, masks: str, damage: List[str], found: _Found
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
            backwards=found.backwards[task.bag, topic.name],
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


def _chunks(task: BagTask, messages: int) -> List[Path]:
    return [task.chunk(number) for number in range(-(-messages // task.chunk_messages))]


def _join_records(target: Path, parts: Sequence[Path]) -> None:
    with target.open("wb") as whole:
        for part in parts:
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)


def _read_json(path: Path) -> Dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _fingerprint(file: Path) -> List[Any]:
    stat = file.stat()
    return [file.name, stat.st_size, stat.st_mtime_ns]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _warn(text: str) -> None:
    print(f"bisenet: warning: {text}", file=sys.stderr)


def _outputs(text: str) -> Tuple[str, ...]:
    names = text.split(",")
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(OUTPUTS)}, got {unknown[0]!r}")
    return tuple(name for name in OUTPUTS if name in names or name == OUTPUTS[0])


def _jobs(text: str) -> int:
    most = 4 * (os.cpu_count() or 1)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected 1 to {most} processes, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 100:
        raise argparse.ArgumentTypeError(f"expected a pace above 0 (at most 100), got {text}")
    return rate
