# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Progress messages during calls that take minutes and give no messages themselves."""

import threading
import time
from contextlib import contextmanager
from typing import Callable, Iterator

INTERVAL = 4.5
"""Seconds between two messages."""


@contextmanager
def heartbeat(beat: Callable[[float], None], *, interval: float = INTERVAL) -> Iterator[None]:
    """Calls `beat` with the seconds passed, from another thread, every `interval` seconds until the block is left."""
    start, done = time.monotonic(), threading.Event()

    def run() -> None:
        while not done.wait(interval):
            beat(time.monotonic() - start)

    thread = threading.Thread(target=run, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
