"""A generator that runs ahead of who takes from it, in a thread of its own."""

from __future__ import annotations

import threading
from queue import Empty, Full, Queue
from typing import Any, Generator, Tuple, TypeVar

T = TypeVar("T")
PATIENCE = 0.1
"""Seconds after which a waiting thread looks whether it is still wanted."""
ITEM, ERROR, END = range(3)


def read_ahead(items: Generator[T, None, None], *, depth: int = 4) -> Generator[T, None, None]:
    """The same items; while one is used, up to `depth` more are made.

    An error of the items' comes in its place. Who stops taking should close this generator, which ends the thread.
    """
    queue: Queue[Tuple[int, Any]] = Queue(depth)
    stop = threading.Event()

    def put(kind: int, value: Any) -> bool:
        while not stop.is_set():
            try:
                queue.put((kind, value), timeout=PATIENCE)
                return True
            except Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(ITEM, item):
                    return
            put(END, None)
        except BaseException as error:  # the taker's, whatever it is
            put(ERROR, error)
        finally:
            items.close()

    thread = threading.Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, value = queue.get(timeout=PATIENCE)  # so that Ctrl-C is heard on every system
            except Empty:
                continue
            if kind == ERROR:
                raise value
            if kind == END:
                return
            yield value
            del value  # a frame is not kept until the next
    finally:
        stop.set()
        thread.join()
