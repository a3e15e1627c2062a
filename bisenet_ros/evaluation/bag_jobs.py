"""Bags shared out among processes, which share the cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import traceback
from contextlib import contextmanager
from multiprocessing.process import BaseProcess, parent_process
from queue import Empty
from typing import Any, Callable, Iterator, List, Sequence, Tuple

from bisenet_ros.bags.bag_reader import BagError
from bisenet_ros.bags.full_disk import full_disk_told
from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.bag_segmentation import WHOLE, BagTask, Share, segment_bag
from bisenet_ros.evaluation.ground_truth import TruthError

LoadEngine = Callable[[], Engine]
Work = List[Tuple[BagTask, Share]]
PROGRESS, REFUSED, FAILED = "progress", "refused", "failed"
REFUSALS = (BagError, TruthError, OSError, ValueError)


def share_out(tasks: Sequence[BagTask], jobs: int) -> List[Work]:
    """The work of each process: whole bags where there are enough of them, else a share of each bag's chunks."""
    if len(tasks) >= jobs:
        return [[(task, WHOLE) for task in tasks[job::jobs]] for job in range(jobs)]
    return [[(task, Share(job, jobs)) for task in tasks] for job in range(jobs)]


def segment_in_processes(
    tasks: Sequence[BagTask], load: LoadEngine, *, jobs: int, progress: Callable[[int], None]
) -> None:
    """`segment_bag` for all bags, each process with an engine of its own on its part of the cores.

    Args:
        load: can be pickled.

    Raises:
        BagError, TruthError, OSError, ValueError: as one of the processes raised it. RuntimeError: one of them died.
    """
    context = multiprocessing.get_context("spawn")  # a fork breaks engines
    reports: Any = context.Queue()
    processes: List[BaseProcess] = []
    scratch = tempfile.TemporaryDirectory(prefix="bisenet_jobs_")
    try:
        for job, work in enumerate(share_out(tasks, jobs)):
            with _on_cores(job, jobs):
                process: BaseProcess = context.Process(
                    target=_work, args=(load, work, reports, scratch.name), daemon=True
                )
                process.start()
            processes.append(process)
        while any(process.is_alive() for process in processes):
            _hear(reports, progress, timeout=0.2)
            _require_health(processes, reports, progress)
        while _hear(reports, progress, timeout=0):
            pass
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
        scratch.cleanup()


def _work(load: LoadEngine, work: Work, reports: Any, scratch: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its children
    tempfile.tempdir = scratch  # which the parent removes, since a process that is ended cannot
    parent = parent_process()

    def progress(messages: int) -> None:
        if parent and not parent.is_alive():
            os._exit(1)
        reports.put((PROGRESS, messages))

    try:
        engine = load()
        for task, share in work:
            with full_disk_told(task.chunks):
                segment_bag(task, engine, share=share, progress=progress)
        engine.close()
    except (ValueError, OSError) as error:
        kind = next(kind for kind in REFUSALS if isinstance(error, kind))
        reports.put((REFUSED, (kind, str(error))))  # not the error itself, which may not go into the queue
    except BaseException:
        reports.put((FAILED, traceback.format_exc()))


def _hear(reports: Any, progress: Callable[[int], None], *, timeout: float) -> bool:
    """Passes one report on, if there is one in time (seconds)."""
    try:
        kind, value = reports.get(timeout=timeout) if timeout else reports.get_nowait()
    except Empty:
        return False
    if kind == PROGRESS:
        progress(value)
    elif kind == REFUSED:
        refusal, words = value
        raise refusal(words)
    else:
        raise RuntimeError(f"a process failed:\n{value}")
    return True


def _require_health(processes: Sequence[BaseProcess], reports: Any, progress: Callable[[int], None]) -> None:
    dead = [process.exitcode for process in processes if process.exitcode]
    if not dead:
        return
    while _hear(reports, progress, timeout=0.2):
        pass
    raise RuntimeError(f"a process ended by itself with exit code {dead[0]}, for want of memory perhaps")


@contextmanager
def _on_cores(job: int, jobs: int) -> Iterator[None]:
    """Children that start here use every `jobs`-th core; runtimes have as many threads as they may use cores."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    all_cores = sorted(os.sched_getaffinity(0))
    cores = all_cores[job::jobs] or [all_cores[job % len(all_cores)]]
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
