"""One run of `bisenet evaluate-bag`: from bags and a model to a folder with masks and a report."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from tqdm import tqdm

from bisenet_ros.bags import STORAGES
from bisenet_ros.bags.bag_choice import ChosenBag, choose_bags
from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.bags.full_disk import full_disk_told
from bisenet_ros.bags.recording import URI_CHARACTERS, check_path
from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.bag_executor import EngineLoader, LoadEngine, open_executor, segment_bags
from bisenet_ros.evaluation.bag_results import BagTask, find_unused, join_results
from bisenet_ros.evaluation.bag_segmentation import segment_bag
from bisenet_ros.evaluation.frame_record import RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError, GroundTruthFolder, export_ground_truth
from bisenet_ros.evaluation.mask_topics import OUTPUTS, mask_namespaces
from bisenet_ros.evaluation.report.bag_report import write_bag_report
from bisenet_ros.evaluation.report.page import percent
from bisenet_ros.evaluation.report.picture_loader import load_pictures
from bisenet_ros.evaluation.run_folder import Inputs, RunFolder
from bisenet_ros.evaluation.run_summary import NodeReplay, RunSummary, Source
from bisenet_ros.model.model_file import ModelError, model_sha256

IMPERFECT = 3
MOST_NAMES = 5
"""Files that a warning names."""
ENGINE_TIME = (
    "of each frame by itself, from its pixels to its mask and their confidence; the first frame of each size is "
    "segmented once before, for every bag, which warms the engine up and does not count"
)

Replay = Callable[..., NodeReplay]
"""Replays a source through the running node: `replay(source, records, folder=, model=, device=, precision=, rate=)`."""


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
    dask: Optional[str] = None
    rate: float = 1.0
    restart: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: 0, or IMPERFECT.
        scores: in a line; "" where the run was finished before.
        warnings: what went wrong, in words.
        replays: through the running node.
    """

    exit_code: int
    scores: str = ""
    warnings: Tuple[str, ...] = ()
    replays: Tuple[NodeReplay, ...] = ()


def evaluate_bags(request: Request, *, load: Optional[LoadEngine] = None, replay: Optional[Replay] = None) -> Outcome:
    """The whole run.

    Args:
        load: makes the engine; can be pickled where bags are segmented side by side; default: of the request's model.
        replay: replays every source through the running node too.

    Raises:
        BisenetError: something of the input cannot be used, the output's folder is not this run's, or an engine failed.
        OSError: a file cannot be read or written. KeyboardInterrupt: the same call goes on with the bags left.
    """
    check_path(request.output, forbidden=URI_CHARACTERS)
    folder = RunFolder(request.output)
    bags, left_out = _choose_bags(request, folder)
    sha256 = model_sha256(request.model)
    load = load or EngineLoader(request.model.absolute(), sha256, request.device, request.precision)
    try:
        engine = load()
    except ModuleNotFoundError as error:
        raise ModelError(f"{request.model} cannot be run: {error}") from error
    inputs = _describe_inputs(request, bags, engine, sha256, replayed=bool(replay))
    with full_disk_told(folder.partial):
        finished = folder.begin(inputs, restart=request.restart)
    if finished is not None:
        return Outcome(finished)
    try:
        with full_disk_told(folder.partial):
            outcome = _evaluate(request, folder, bags, left_out, load, engine, sha256, replay)
            folder.finish(inputs, exit_code=outcome.exit_code)
    except (BagError, GroundTruthError):
        folder.discard()  # the same command would end here again
        raise
    finally:
        folder.close()
    return outcome


def _choose_bags(request: Request, folder: RunFolder) -> Tuple[List[ChosenBag], List[str]]:
    but_topics = [request.truth_topic] if request.truth_topic else []
    but = (folder.output, folder.partial)
    bags, left_out = choose_bags(request.bags, request.topics, but=but, but_topics=but_topics)
    for chosen in bags:
        if len(chosen.topics) > 1 and (request.truth_topic or request.truth_folder):
            names = ", ".join(topic.name for topic in chosen.topics)
            raise GroundTruthError(
                f"expected one --topic, whose frames the ground truth is for, got {len(chosen.topics)}: {names}"
            )
    return bags, left_out


def _describe_inputs(
    request: Request, bags: Sequence[ChosenBag], engine: Engine, sha256: str, *, replayed: bool
) -> Inputs:
    """What the results depend on."""
    truth = request.truth_folder
    inputs: Inputs = {}
    for chosen in bags:
        inputs[f"bag {chosen.name}"] = str(chosen.bag.path.resolve())
        inputs[f"topics of {chosen.name}"] = ", ".join(topic.name for topic in chosen.topics)
        inputs[f"the content of bag {chosen.name}"] = _fingerprint(chosen.bag.files)
    return {
        **inputs,
        "engine": engine.description,
        "the model file": [sha256],
        "truth topic": request.truth_topic or "none",
        "truth folder": str(truth.resolve()) if truth else "none",
        "the ground truth": _fingerprint(sorted(truth.glob("*.png"))) if truth else [],
        "masks": f"{', '.join(request.outputs)} in {request.storage}",
        "replay through the node": f"at rate {request.rate:g}" if replayed else "none",
    }


def _fingerprint(files: Sequence[Path]) -> List[List[Any]]:
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def _evaluate(
    request: Request,
    folder: RunFolder,
    bags: Sequence[ChosenBag],
    left_out: Sequence[str],
    load: LoadEngine,
    engine: Engine,
    sha256: str,
    replay: Optional[Replay],
) -> Outcome:
    classes = engine.card.classes
    if request.truth_folder:  # a wrong file is told before the work begins
        GroundTruthFolder(request.truth_folder, classes=len(classes)).check()
    tasks = [_make_task(request, folder, chosen, len(classes), alone=len(bags) == 1) for chosen in bags]
    pace = _segment(request, tasks, load, engine)
    sources, records = join_results(tasks, folder.result)
    truth = {task.bag: task.ground_truth for task in tasks if task.ground_truth}
    unused = find_unused(truth, records)
    replays, failures = _replay(request, folder, sources, records, replay) if replay else ([], [])
    run = RunSummary(
        classes=classes,
        model={"file": request.model.name, "sha256": sha256, "architecture": engine.card.name},
        engine=engine.description,
        machine=describe_machine(),
        protocol={
            **pace,
            "engine time": ENGINE_TIME,
            "jobs": " and ".join(sorted({source.jobs for source in sources})),
        },
        sources=sources,
        through_node=tuple(replays),
        notices=(*left_out, *failures),
    )
    pictures = partial(load_pictures, folder.result, sources, records, ground_truth=truth)
    findings = write_bag_report(folder.result, records, run, load_pictures=pictures)
    return _outcome(run, findings, unused)


def _make_task(request: Request, folder: RunFolder, chosen: ChosenBag, classes: int, *, alone: bool) -> BagTask:
    truth = request.truth_folder.resolve() if request.truth_folder else None
    if request.truth_topic:
        truth = folder.partial / "ground_truth" / chosen.name
        if not truth.exists():
            export_ground_truth(chosen.bag, request.truth_topic, truth, classes=classes)
    return BagTask(
        bag=chosen.name,
        path=chosen.bag.path.resolve(),
        topics=mask_namespaces([topic.name for topic in chosen.topics]),
        folder=folder.bags / chosen.name,
        masks="masks" if alone else f"{chosen.name}/masks",
        outputs=request.outputs,
        storage=request.storage,
        ground_truth=truth,
    )


def _segment(request: Request, tasks: Sequence[BagTask], load: LoadEngine, engine: Engine) -> Dict[str, str]:
    """Segments the bags that are not done; the pace, for people."""
    left = [task for task in tasks if not task.folder.exists()]
    jobs = max(1, min(request.jobs, len(left)))
    left = [replace(task, jobs=f"Dask at {request.dask}" if request.dask else str(jobs)) for task in left]
    start = time.perf_counter()
    if jobs > 1 or request.dask:
        engine.close()
        with tqdm(total=len(left), desc="segmenting", unit="bag", disable=None) as bar:
            with open_executor(jobs=jobs, dask=request.dask) as executor:
                segment_bags(left, load, executor, progress=bar.update)
    else:
        with tqdm(desc="segmenting", unit="frame", disable=None) as bar:
            for task in left:
                segment_bag(task, engine, progress=bar.update)
        engine.close()
    frames = sum(source.frames for task in left for source in task.read_sources())
    pace = frames / (time.perf_counter() - start)
    note = "reading, decoding, measuring and writing included"
    return {"frames per second offline": f"{pace:.1f} ({note})"} if frames else {}


def _replay(
    request: Request, folder: RunFolder, sources: Sequence[Source], records: RecordFile, replay: Replay
) -> Tuple[List[NodeReplay], List[str]]:
    """The replays of all sources with frames, and what kept the others from it, in words."""
    replays, failures = [], []
    engine = {"model": request.model, "device": request.device, "precision": request.precision}
    for source in sources:
        if not source.frames:
            continue
        try:
            replays.append(replay(source, records, folder=folder.result, rate=request.rate, **engine))
        except Exception as error:  # whatever ROS raises: the offline result is done, and is not lost for it
            failures.append(f"{source.bag}, {source.topic}: the replay through the node failed: {error}")
    return replays, failures


def _outcome(run: RunSummary, findings: Dict[str, Any], unused: Sequence[Path]) -> Outcome:
    warnings = [f"{source.bag}, {source.topic}: {notice}" for source in run.sources for notice in source.notices]
    if unused:
        shown = ", ".join(file.name for file in unused[:MOST_NAMES]) + (" and more" if unused[MOST_NAMES:] else "")
        warnings.append(f"{len(unused)} files of the ground truth have the stamp of no frame: {shown}")
    differing = [replay for replay in run.through_node if replay.differing_pixels]
    warnings += [f"{it.bag}, {it.topic}: the node's masks differ in {it.differing_pixels} pixels" for it in differing]
    faulty = differing or run.notices or any(source.faulty for source in run.sources)
    scores = f", mIoU {percent(findings['miou'])} %" if findings["truth_frames"] else ""
    return Outcome(
        exit_code=IMPERFECT if faulty else 0,
        scores=f"{findings['frames']} frames{scores}",
        warnings=(*warnings, *run.notices),
        replays=run.through_node,
    )
