"""The newest frame wins: a place for the frames of every camera between two threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import Callable, Deque, Dict, Generic, Hashable, List, Optional, Tuple, TypeVar

from bisenet_ros.node.frame_pacing import FramePacing

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

GRACE = 0.01
"""Seconds for which a newer frame does not displace one: where the engine keeps up, two that come at once, because a
process had to wait for a core, are both wanted. An engine that is slower than the cameras lets it pass."""
MOST = 4
"""Frames of a camera that wait at the most."""


class NewestFrames(Generic[K, T]):
    """Holds the newest frame that each camera put, and for a moment the one before; never a backlog.

    The camera that has waited longest since its last turn comes first, so that none starves another. While one camera
    alone has put frames, whoever takes them and is slower waits for a fresh one where that pays; see FramePacing. The
    frames of several wait for each other anyway.
    """

    def __init__(self, on_displaced: Callable[[T], None], *, grace: float = GRACE) -> None:
        """
        Args:
            on_displaced: is given every frame that a newer one has displaced.
            grace: seconds; see GRACE.
        """
        self._on_displaced = on_displaced
        self._grace = grace
        self._pacing = FramePacing()
        self._condition = threading.Condition()
        # With the time it was put; the camera whose turn was last is the last.
        self._waiting: Dict[K, Deque[Tuple[float, T]]] = {}
        self._closed = False

    def put(self, camera: K, frame: T) -> None:
        with self._condition:
            now = time.monotonic()
            waiting = self._waiting.setdefault(camera, deque())
            waiting.append((now, frame))
            self._displace(waiting)
            self._pacing.came(now)
            self._condition.notify()

    def take(self, most: int = 1) -> List[T]:
        """Waits for a frame, and takes one of each of up to `most` cameras that have some; none once closed."""
        with self._condition:
            self._pacing.ended(time.monotonic())
            while (patience := self._patience()) != 0:
                self._condition.wait(patience)
            if self._closed:
                return []
            self._pacing.began(time.monotonic())
            return [self._pop(camera) for camera in self._cameras()[:most]]

    def clear(self) -> List[T]:
        """Takes all that wait, without waiting."""
        with self._condition:
            frames = [frame for waiting in self._waiting.values() for _, frame in waiting]
            self._waiting.clear()
            return frames

    def close(self) -> None:
        """Lets go whoever waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _patience(self) -> Optional[float]:
        """Seconds to wait for a fresh frame; None: for any; 0: no longer."""
        if self._closed:
            return 0.0
        waiting = list(self._waiting.values())
        if not any(waiting):
            return None
        now = time.monotonic()
        # Within its grace a frame would be the next to be taken even if another came.
        if len(waiting) > 1 or len(waiting[0]) > 1 or waiting[0][0][0] > now - self._grace:
            return 0.0
        return self._pacing.patience(now)

    def _cameras(self) -> List[K]:
        return [camera for camera, waiting in self._waiting.items() if waiting]

    def _pop(self, camera: K) -> T:
        waiting = self._waiting.pop(camera)
        self._displace(waiting)
        self._waiting[camera] = waiting  # now the last in turn
        return waiting.popleft()[1]

    def _displace(self, waiting: Deque[Tuple[float, T]]) -> None:
        """Drops what a newer frame has made too old."""
        oldest = time.monotonic() - self._grace
        while len(waiting) > 1 and (waiting[0][0] <= oldest or len(waiting) > MOST):
            self._on_displaced(waiting.popleft()[1])
