# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A thread that runs the calls of other threads, one at a time."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Callable, Optional, Tuple, TypeVar

T = TypeVar("T")
Task = Tuple["Future[Any]", Callable[..., Any], Tuple[Any, ...]]


class WorkerThread:
    """For what must be used on one thread, such as a CUDA context.

    Unlike a ThreadPoolExecutor it still works while the interpreter exits, so that its memory can be freed then.
    """

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Optional[Task]] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns or raises, on this thread; callers wait for their turn."""
        if threading.current_thread() is self._thread:  # a finalizer may run anywhere
            return function(*arguments)
        return self.submit(function, *arguments).result()

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Queues a call and returns its Future, which can be canceled until the call begins.

        Raises:
            RuntimeError: the thread was closed.
        """
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the {self._thread.name} thread is closed")
            self._tasks.put((future, function, arguments))
        return future

    def close(self) -> None:
        """Ends the thread after the calls that wait; a second call does nothing."""
        with self._lock:
            self._closed = True
        self._tasks.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        for task in iter(self._tasks.get, None):
            _run(*task)
            del task  # a frame, or the engine itself, is not kept until the next


def _run(future: Future[Any], function: Callable[..., Any], arguments: Tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function(*arguments))
    except BaseException as error:  # the caller's, whatever it is
        future.set_exception(error)
        del future  # the error's traceback refers to it: a cycle would keep what pycuda frees when it is forgotten
