"""How a process of the benchmark talks to the one that started it: a line of JSON each, on stdin and stdout."""

from __future__ import annotations

import json
import queue
import sys
import threading
from typing import Any, Callable, Dict, Optional


def say(**message: Any) -> None:
    """Sends a message; in one write, so that messages of several threads do not mix."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def call_at_end(callback: Callable[[], Any]) -> None:
    """Calls back, from another thread, once the other side has closed the input or ended."""

    def wait() -> None:
        for _ in sys.stdin:
            pass
        callback()

    threading.Thread(target=wait, name="input", daemon=True).start()


class Commands:
    """The messages that come in, read by a thread so that their end is known while one of them is obeyed."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._queue: queue.Queue[Optional[Dict[str, Any]]] = queue.Queue()
        threading.Thread(target=self._read, name="input", daemon=True).start()

    def __iter__(self) -> Commands:
        return self

    def __next__(self) -> Dict[str, Any]:
        command = self._queue.get()
        if command is None:
            raise StopIteration
        return command

    def _read(self) -> None:
        for line in sys.stdin:
            self._queue.put(json.loads(line))
        self.ended.set()
        self._queue.put(None)
