# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Several bags side by side: in processes of this machine, or on a Dask cluster."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from concurrent.futures import BrokenExecutor, CancelledError, Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing.process import parent_process
from typing import Any, Callable, ContextManager, Iterator, Optional, Sequence

from bisenet_ros.engines import Engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.bag_segmentation import segment_bag
from bisenet_ros.evaluation.bag_task import BagTask
from bisenet_ros.evaluation.run_engine import EngineLoader
from bisenet_ros.files.full_disk import explain_full_disk


def segment_bags(
    tasks: Sequence[BagTask], loader: EngineLoader, executor: Executor, *, progress: Callable[[], Any]
) -> None:
    """`segment_bag` for all bags; each process loads the engine once.

    Calls `progress` after each bag. Raises the error of the first bag that failed; BisenetError where a process died.
    """
    futures = [executor.submit(_segment_here, task, loader) for task in tasks]
    try:
        for future in as_completed(futures):
            future.result()
            progress()
    except BrokenExecutor as error:
        raise BisenetError(
            "a process that segments bags ended by itself, perhaps since memory ran out; give the same command with "
            "fewer --jobs, and it goes on with the bags that are not done"
        ) from error
    finally:
        for future in futures:
            future.cancel()


def open_executor(*, jobs: int, dask: Optional[str]) -> ContextManager[Executor]:
    """Processes of this machine that share its cores, or the workers of the Dask scheduler at an address."""
    return _open_dask_workers(dask) if dask else _open_processes(jobs)


@contextmanager
def _open_processes(jobs: int) -> Iterator[Executor]:
    context = multiprocessing.get_context("spawn")  # a fork breaks engines
    before = set(multiprocessing.active_children())
    with tempfile.TemporaryDirectory(prefix="bisenet_jobs_") as scratch:
        executor = ProcessPoolExecutor(jobs, context, _begin_process, (context.Value("i", 0), jobs, scratch))
        try:
            yield executor
        except BaseException:
            for child in set(multiprocessing.active_children()) - before:
                child.terminate()
            raise
        finally:
            executor.shutdown()


@contextmanager
def _open_dask_workers(address: str) -> Iterator[Executor]:
    from distributed import Client, KilledWorker

    try:
        client = Client(address)
    except ValueError as error:
        raise BisenetError(
            f"expected the address of a Dask scheduler, such as tcp://192.168.1.10:8786, got {address!r}: {error}"
        ) from None
    with client:
        try:
            yield client.get_executor(pure=False)
        except KilledWorker as error:
            raise BisenetError(
                f"workers of the Dask cluster ended at one bag, perhaps since memory ran out: {error} The same command "
                "goes on with the bags that are not done"
            ) from error
        except CancelledError as error:
            raise BisenetError(
                f"the Dask scheduler at {address} ended; start it again, and the same command goes on with the bags "
                "that are not done"
            ) from error


_one_bag = threading.Lock()
"""A Dask worker has several threads, and the engine is for one at a time."""


@lru_cache(maxsize=1)
def _engine(loader: EngineLoader) -> Engine:
    return loader()


def _segment_here(task: BagTask, loader: EngineLoader) -> None:
    with _one_bag, explain_full_disk(task.folder):
        segment_bag(task, _engine(loader))


def _begin_process(count: Any, jobs: int, scratch: str) -> None:
    """Prepares a process: its cores, its end with that of its parent, and a scratch folder that they share.

    The parent removes that folder, or its children do where the parent was killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends its children
    tempfile.tempdir = scratch
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()
    with count.get_lock():
        job, count.value = count.value, count.value + 1
    cores = sorted(os.sched_getaffinity(0))  # runtimes have as many threads as they may use cores
    os.sched_setaffinity(0, cores[job % jobs :: jobs] or [cores[job % len(cores)]])


def _end_with_parent(scratch: str) -> None:
    parent = parent_process()
    if parent:
        parent.join()
        shutil.rmtree(scratch, ignore_errors=True)
        os._exit(1)
