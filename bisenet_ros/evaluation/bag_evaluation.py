# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One run of `bisenet evaluate-bag`: from bags and a model to a folder with masks and a report."""

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Dict, List, Optional, Protocol, Sequence, Tuple

from tqdm import tqdm

from bisenet_ros.bags import STORAGES
from bisenet_ros.bags.bag_choice import ChosenBag, choose_bags
from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.bags.recording import URI_CHARACTERS
from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.engines.engine import Engine
from bisenet_ros.evaluation import OUTPUTS
from bisenet_ros.evaluation.bag_executor import open_executor, segment_bags
from bisenet_ros.evaluation.bag_outcome import Outcome, make_outcome
from bisenet_ros.evaluation.bag_results import NoFrameError, join_results
from bisenet_ros.evaluation.bag_segmentation import ENGINE_TIME, segment_bag
from bisenet_ros.evaluation.bag_task import MASKS, BagTask, mask_namespaces
from bisenet_ros.evaluation.frame_record import RECORDS, RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError, describe_shared, find_unused
from bisenet_ros.evaluation.ground_truth_preparation import prepare_ground_truth, require_frame_of
from bisenet_ros.evaluation.report.bag_report import FILES, write_bag_report
from bisenet_ros.evaluation.report.picture_loader import load_pictures
from bisenet_ros.evaluation.run_engine import EngineLoader, EngineOptions
from bisenet_ros.evaluation.run_folder import CONTENT, RUN, Inputs, RunFolder, fingerprint, is_run
from bisenet_ros.evaluation.run_summary import NodeReplay, RunSummary, Source
from bisenet_ros.files.file_content import sha256_of
from bisenet_ros.files.file_names import check_path
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.result_folder import require_apart
from bisenet_ros.images.image_file import image_files
from bisenet_ros.model.class_groups import Grouping, read_class_groups
from bisenet_ros.model.input_size import CARD
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError, model_sha256


class Replay(Protocol):
    """Replays a source through a real node; `bisenet_ros.node.driver.bag_replay` does."""

    def __call__(
        self, source: Source, records: RecordFile, *, folder: Path, engine: EngineOptions, rate: float
    ) -> NodeReplay: ...


@dataclass(frozen=True)
class Request:
    """What is asked for; see `bisenet evaluate-bag --help`."""

    bags: Sequence[Path]
    model: Path
    output: Path
    device: str = "auto"
    precision: str = "auto"
    network_size: str = CARD
    class_map: Optional[Path] = None
    topics: Sequence[str] = ()
    truth_topic: Optional[str] = None
    truth_folder: Optional[Path] = None
    outputs: Tuple[str, ...] = OUTPUTS[:1]
    storage: str = STORAGES[0]
    jobs: int = 1
    dask: Optional[str] = None
    rate: float = 1.0
    restart: bool = False

    @property
    def engine(self) -> EngineOptions:
        """What the engine is loaded with, in other processes and by the node too."""
        class_map = self.class_map.absolute() if self.class_map else None
        return EngineOptions(self.model.absolute(), self.device, self.precision, self.network_size, class_map)


def evaluate_bags(request: Request, *, replay: Optional[Replay] = None) -> Outcome:
    """Segments bags and reports on their masks: the whole run of `bisenet evaluate-bag`.

    Args:
        replay: replays every source through a real node too.

    Raises:
        BisenetError: something of the input cannot be used, the output's folder is not this run's, or an engine failed.
        OSError: a file cannot be read or written. KeyboardInterrupt: the same call goes on with the bags left.
    """
    check_path(request.output.resolve(), forbidden=URI_CHARACTERS)
    run = _Run(request, replay)
    inputs = run.describe_inputs()
    folder = run.folder
    with explain_full_disk(folder.partial):
        finished = folder.begin(inputs, restart=request.restart)
    if finished is not None:
        return Outcome(finished)
    try:
        with explain_full_disk(folder.partial):
            outcome = run.evaluate()
            folder.finish(inputs, exit_code=outcome.exit_code)
    except NoFrameError:  # the same command would end here again
        folder.discard()
        raise
    except (BagError, GroundTruthError) as error:
        raise type(error)(f"{error}{folder.give_up()}") from None
    finally:
        folder.close()
    return outcome


class _Run:
    """A run: its bags, its engine and its folder."""

    def __init__(self, request: Request, replay: Optional[Replay]) -> None:
        self.folder = RunFolder(request.output)
        self._request, self._replay_source = request, replay
        self._bags, self._notices = self._choose_bags()
        self._grouping: Optional[Grouping] = None
        if request.class_map:
            self._grouping = read_class_groups(request.class_map).fit(read_card(request.model).classes)
        loader = EngineLoader(request.engine)
        self._engine = self._open_engine(loader)
        if not self._engine.has_confidence:
            raise ModelError(
                f"{self._engine.description} gives no confidence, which the report has; the log says why; add "
                "--device cpu"
            )
        self._model = self._engine.model_file or request.model
        self._sha256 = model_sha256(self._model)
        self._class_map_sha256 = sha256_of(request.class_map) if request.class_map else ""
        self._loader = replace(
            loader,
            sha256=self._sha256,
            class_map_sha256=self._class_map_sha256,
            engine=self._engine.description,
        )
        self._classes = self._engine.card.classes
        self._truth_classes = read_card(request.model).classes if self._grouping else self._classes

    def _choose_bags(self) -> Tuple[List[ChosenBag], List[str]]:
        """The bags to evaluate, and as text those that are left out."""
        request, own = self._request, (self.folder.output, self.folder.partial)
        bags, notices = choose_bags(
            [path for path in request.bags if path.resolve() not in own] or request.bags,
            request.topics,
            is_result=is_run,
            exclude_topics=[request.truth_topic] if request.truth_topic else [],
            reserved=(*FILES, RECORDS, RUN),  # beside which the masks of several bags lie in folders of their names
        )
        require_apart(request.output, [place for chosen in bags for place in chosen.bag.places])
        several = [chosen for chosen in bags if len(chosen.topics) > 1]
        if several and (request.truth_topic or request.truth_folder):
            names = [topic.name for topic in several[0].topics]
            raise GroundTruthError(
                f"expected one --topic, whose frames the ground truth is for, got {len(names)}: {', '.join(names)}"
            )
        return bags, notices

    def _open_engine(self, loader: EngineLoader) -> Engine:
        try:
            return loader()
        except ModuleNotFoundError as error:
            raise ModelError(f"{self._request.model} cannot be run: {error}") from error

    def describe_inputs(self) -> Inputs:
        """What the results depend on."""
        request, truth = self._request, self._request.truth_folder
        inputs: Inputs = {}
        for chosen in self._bags:
            inputs[f"bag {chosen.name}"] = str(chosen.bag.path.resolve())
            inputs[f"topics of {chosen.name}"] = ", ".join(topic.name for topic in chosen.topics)
            inputs[CONTENT.format(chosen.name)] = fingerprint(chosen.bag.files)
        return {
            **inputs,
            "engine": self._engine.description,
            "the model file": [self._sha256],
            "class map": self._class_map_sha256 or "none",
            "truth topic": request.truth_topic or "none",
            "truth folder": str(truth.resolve()) if truth else "none",
            "the ground truth": fingerprint(image_files(truth)) if truth else [],
            "masks": f"{', '.join(request.outputs)} in {request.storage}",
            "replay through the node": f"at rate {request.rate:g}" if self._replay_source else "none",
        }

    def evaluate(self) -> Outcome:
        request, folder = self._request, self.folder.result
        ground_truth, missing = prepare_ground_truth(
            self._bags,
            topic=request.truth_topic,
            given=request.truth_folder,
            folder=self.folder.ground_truth,
            classes=self._truth_classes,
            grouping=self._grouping,
        )
        require_frame_of(ground_truth, self._bags, classes=len(self._classes))
        tasks = [self._make_task(chosen, ground_truth.get(chosen.name)) for chosen in self._bags]
        pace = self._segment(tasks)
        sources, records = join_results(tasks, folder)
        unused = find_unused(ground_truth, records)
        replays, failures = self._replay(sources, records)
        jobs = " and ".join(sorted({source.jobs for source in sources}))
        run = RunSummary(
            classes=self._classes,
            model={"file": self._model.name, "sha256": self._sha256, "architecture": self._engine.card.name},
            engine=self._engine.description,
            machine={"cluster": jobs} if self._request.dask else describe_machine(),
            protocol={**pace, "engine time": ENGINE_TIME, "jobs": jobs},
            sources=sources,
            through_node=tuple(replays),
            notices=(*self._notices, *missing, *describe_shared(ground_truth, records), *failures),
        )
        pictures = partial(load_pictures, folder, sources, records, ground_truth=ground_truth)
        return make_outcome(run, write_bag_report(folder, records, run, load_pictures=pictures), unused)

    def _make_task(self, chosen: ChosenBag, ground_truth: Optional[Path]) -> BagTask:
        return BagTask(
            bag=chosen.name,
            path=chosen.bag.path.resolve(),
            topics=mask_namespaces([topic.name for topic in chosen.topics]),
            folder=self.folder.bags / chosen.name,
            masks=MASKS if len(self._bags) == 1 else f"{chosen.name}/{MASKS}",
            outputs=self._request.outputs,
            storage=self._request.storage,
            ground_truth=ground_truth,
        )

    def _segment(self, tasks: Sequence[BagTask]) -> Dict[str, str]:
        """Segments the bags that are not done; the pace, human-readable."""
        left = [task for task in tasks if not task.folder.exists()]
        dask, jobs = self._request.dask, max(1, min(self._request.jobs, len(left)))
        left = [replace(task, jobs=f"Dask at {dask}" if dask else str(jobs)) for task in left]
        start = time.perf_counter()
        note = "reading, decoding, measuring and writing included"
        if jobs > 1 or dask:
            note = f"loading the engine in each process, {note}"
            self._engine.close()
            with tqdm(total=len(left), desc="segmenting", unit="bag", disable=None) as bar:
                with open_executor(jobs=jobs, dask=dask) as executor:
                    segment_bags(left, self._loader, executor, progress=bar.update)
        else:
            with tqdm(desc="segmenting", unit="frame", disable=None) as bar:
                for task in left:
                    segment_bag(task, self._engine, progress=bar.update)
            self._engine.close()
        frames = sum(source.frames for task in left for source in task.read_sources())
        pace = frames / (time.perf_counter() - start)
        return {"frames per second offline": f"{pace:.1f} ({note})"} if frames else {}

    def _replay(self, sources: Sequence[Source], records: RecordFile) -> Tuple[List[NodeReplay], List[str]]:
        """The replays of all sources with frames, and what kept the others from it, as text."""
        request, replay = self._request, self._replay_source
        replays, failures = [], []
        for source in sources:
            if not replay or not source.frames:
                continue
            try:
                replays.append(
                    replay(source, records, folder=self.folder.result, engine=request.engine, rate=request.rate)
                )
            except Exception as error:  # whatever ROS raises: the offline result is done, and is not lost for it
                failures.append(f"{source.bag}, {source.topic}: the replay through the node failed: {error}")
        return replays, failures
