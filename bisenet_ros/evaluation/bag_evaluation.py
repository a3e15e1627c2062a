"""One run of `bisenet evaluate-bag`: from bags and a model to a folder with masks and a report."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from tqdm import tqdm

from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.bags.bag_writer import STORAGES
from bisenet_ros.bags.full_disk import full_disk_told
from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.bag_jobs import LoadEngine, segment_in_processes
from bisenet_ros.evaluation.bag_segmentation import (
    CHUNK_MESSAGES,
    OUTPUTS,
    BagTask,
    done_messages,
    mask_namespaces,
    segment_bag,
)
from bisenet_ros.evaluation.chosen_bags import ChosenBag, choose_bags
from bisenet_ros.evaluation.ground_truth import TruthError, TruthFolder, export_truth
from bisenet_ros.evaluation.joined_chunks import JoinedChunks, join_chunks
from bisenet_ros.evaluation.node_replay import NodeReplay
from bisenet_ros.evaluation.report.bag_report import REPORT, write_report
from bisenet_ros.evaluation.report.report_pictures import PictureLoader
from bisenet_ros.evaluation.run_folder import Inputs, RunFolder
from bisenet_ros.evaluation.run_summary import RunSummary
from bisenet_ros.model.model_card import ModelError
from bisenet_ros.model.model_file import model_sha256

IMPERFECT = 3
INTERRUPTED = 130
SHOWN = 5
"""How many stamps a warning names."""
ENGINE_TIME = (
    "of each frame by itself, from its pixels to its labels and their confidence; the first frame of each size is "
    "segmented once before, for every bag and job, which warms the engine up and does not count"
)


@dataclass(frozen=True)
class Request:
    """What is asked for; see `bisenet evaluate-bag --help`."""

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
    bags, left_out = _choose_bags(request, folder)
    engine = _load(load, request.model)
    inputs = _describe_inputs(request, bags, engine)
    with full_disk_told(folder.partial):
        finished = folder.begin(inputs, restart=request.restart)
    if finished is not None:
        print(f"{request.output} is finished already; --restart makes it again")
        return finished
    try:
        with full_disk_told(folder.partial):
            if request.truth_folder:  # a wrong file is told before the work begins
                TruthFolder(request.truth_folder, classes=len(engine.card.classes)).check()
            tasks = [_make_task(request, folder, chosen, engine) for chosen in bags]
            pace = _segment(request, tasks, load, engine)
            topics = {chosen.name: chosen.topics for chosen in bags}
            results = join_chunks(tasks, topics, folder.result, classes=len(engine.card.classes))
            exit_code = _report(request, folder, results, engine, pace, left_out=left_out)
            folder.finish(inputs, exit_code=exit_code)
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


def _choose_bags(request: Request, folder: RunFolder) -> Tuple[List[ChosenBag], List[str]]:
    bags, left_out = choose_bags(
        request.bags,
        request.topics,
        but=(folder.output, folder.partial),
        but_topics=[request.truth_topic] if request.truth_topic else [],
    )
    for chosen in bags:
        if len(chosen.topics) > 1 and (request.truth_topic or request.truth_folder):
            names = ", ".join(topic.name for topic in chosen.topics)
            raise TruthError(f"expected one --topic, whose frames the truth is for, got {len(chosen.topics)}: {names}")
    return bags, left_out


def _load(load: LoadEngine, model: Path) -> Engine:
    try:
        return load()
    except ModuleNotFoundError as error:
        raise ModelError(f"{model} cannot be run: {error}") from error


def _describe_inputs(request: Request, bags: Sequence[ChosenBag], engine: Engine) -> Inputs:
    """What the results depend on."""
    truth = request.truth_folder
    return Inputs(
        options={
            **{f"bag {chosen.name}": str(chosen.bag.path.resolve()) for chosen in bags},
            **{f"topics of {chosen.name}": ", ".join(topic.name for topic in chosen.topics) for chosen in bags},
            "engine": engine.description,
            "truth topic": request.truth_topic or "none",
            "truth folder": str(truth.resolve()) if truth else "none",
            "masks": f"{', '.join(request.outputs)} in {request.storage}",
            "messages in a chunk": str(request.chunk_messages),
            "replay through the node": f"at rate {request.rate:g}" if request.through_node else "none",
        },
        files={
            "the model file": model_sha256(request.model),
            **{
                f"the content of bag {chosen.name}": [_fingerprint(file) for file in chosen.bag.files]
                for chosen in bags
            },
            **({"the truth": [_fingerprint(file) for file in sorted(truth.glob("*.png"))]} if truth else {}),
        },
    )


def _make_task(request: Request, folder: RunFolder, chosen: ChosenBag, engine: Engine) -> BagTask:
    truth = request.truth_folder
    if request.truth_topic:
        truth = folder.partial / "truth" / chosen.name
        if not truth.exists():
            export_truth(chosen.bag, request.truth_topic, truth, classes=len(engine.card.classes))
    return BagTask(
        bag=chosen.name,
        path=chosen.bag.path.resolve(),
        topics=mask_namespaces([topic.name for topic in chosen.topics]),
        chunks=folder.partial / "chunks" / chosen.name,
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


def _report(
    request: Request,
    folder: RunFolder,
    results: JoinedChunks,
    engine: Engine,
    pace: Dict[str, str],
    *,
    left_out: Sequence[str],
) -> int:
    """Writes the report and warns; the exit code."""
    frames, scored = sum(results.counts.frames.values()), sum(results.counts.scored.values())
    replays, failures = _replay(request, folder, results) if request.through_node else ([], [])
    write_report(
        folder.result,
        results.records,
        RunSummary(
            labels=engine.card.classes,
            model={"file": request.model.name, "sha256": model_sha256(request.model), "architecture": engine.card.name},
            engine=engine.description,
            machine=describe_machine(),
            protocol={
                **({"frames with truth": f"{scored} of {frames}"} if results.truth else {}),
                **pace,
                "engine time": ENGINE_TIME,
                "jobs": str(request.jobs),
            },
            sources=results.sources,
            through_node=tuple(replays),
            notices=(*left_out, *failures),
        ),
        load_pictures=PictureLoader(folder.result, results.sources, results.records, truth=results.truth),
    )
    _warn_of(results, replays, notices=(*left_out, *failures))
    _tell(results, replays)
    damaged = any(source.skipped or source.ended_early for source in results.sources)
    differing = any(replay.differing_pixels for replay in replays)
    return IMPERFECT if damaged or differing or left_out or failures else 0


def _warn_of(results: JoinedChunks, replays: Sequence[NodeReplay], *, notices: Sequence[str]) -> None:
    for source in results.sources:
        for notice in source.notices:
            _warn(f"{source.bag}, {source.topic}: {notice}")
    if results.unused:
        shown = ", ".join(map(str, results.unused[:SHOWN])) + (" and more" if results.unused[SHOWN:] else "")
        _warn(f"{len(results.unused)} stamps of the truth are those of no frame: {shown}")
    for replay in replays:
        if replay.differing_pixels:
            _warn(f"{replay.bag}, {replay.topic}: the node's masks differ in {replay.differing_pixels} pixels")
    for notice in notices:
        _warn(notice)


def _tell(results: JoinedChunks, replays: Sequence[NodeReplay]) -> None:
    """The report in a few lines."""
    frames = sum(results.counts.frames.values())
    miou = json.loads((results.records.path.parent / REPORT).read_text()).get("miou")
    print(f"{frames} frames" + (f", mIoU {100 * miou:.2f} %" if miou is not None else ""))
    for replay in replays:
        print(
            f"through the node: {replay.received} of {replay.sent} frames of {replay.bag} {replay.topic}, "
            f"{replay.differing_pixels} pixels differ"
        )


def _replay(request: Request, folder: RunFolder, results: JoinedChunks) -> Tuple[List[NodeReplay], List[str]]:
    """The replays of all sources with frames, and what kept the others from it, in words."""
    from bisenet_ros.node.driver.bag_replay import replay_through_node

    replays, failures = [], []
    for source in results.sources:
        if not results.counts.frames[source.bag, source.topic]:
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
        import bisenet_ros.node.driver.bag_replay  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--through-node needs the Python package {error.name!r}; source ROS 2, or install the wheels with "
            "`pip install '.[ros]'` in the checkout"
        ) from error


def _fingerprint(file: Path) -> List[Any]:
    stat = file.stat()
    return [file.name, stat.st_size, stat.st_mtime_ns]


def _warn(text: str) -> None:
    print(f"bisenet: warning: {text}", file=sys.stderr)
