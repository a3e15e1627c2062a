# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A queue with one place per camera, in which the newest frame wins."""

import threading
from typing import Callable, Dict, Generic, List, Optional, TypeVar

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """Passes frames between threads: each camera has one place, and a newer frame displaces the waiting one.

    The camera whose last turn is longest ago comes first, so that no camera starves another.
    `on_displaced` is given every displaced frame.
    """

    def __init__(self, on_displaced: Callable[[T], None]) -> None:
        self._on_displaced = on_displaced
        self._condition = threading.Condition()
        self._waiting: Dict[str, T] = {}
        self._last_turns: Dict[str, int] = {}  # numbered by time
        self._closed = False

    def put(self, camera: str, frame: T) -> None:
        with self._condition:
            if camera in self._waiting:
                self._on_displaced(self._waiting[camera])
            self._waiting[camera] = frame
            self._condition.notify()

    def take(self, most: Optional[int] = 1) -> List[T]:
        """Waits for a frame, and takes those of up to `most` cameras, or of all; returns none once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return []
            cameras = sorted(self._waiting, key=lambda camera: self._last_turns.get(camera, 0))
            return [self._pop(camera) for camera in cameras[:most]]

    def clear(self) -> List[T]:
        """Takes all frames, without waiting for one."""
        with self._condition:
            frames = list(self._waiting.values())
            self._waiting.clear()
            return frames

    def close(self) -> None:
        """Ends every `take`, now and later."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _pop(self, camera: str) -> T:
        self._last_turns[camera] = max(self._last_turns.values(), default=0) + 1
        return self._waiting.pop(camera)
