"""The newest frame wins: a place for one frame per camera between two threads."""

from __future__ import annotations

import threading
from typing import Dict, Generic, Hashable, List, Optional, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class NewestFrames(Generic[K, T]):
    """Holds the last frame that each camera put; whoever takes gets the newest ones and never a backlog.

    The camera that has waited longest since its last turn comes first, so that none starves another.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frames: Dict[K, Optional[T]] = {}  # the camera whose turn was last is the last
        self._closed = False

    def put(self, camera: K, frame: T) -> Optional[T]:
        """Leaves a frame; returns the one that it displaced, which nobody had taken."""
        with self._condition:
            displaced = self._frames.get(camera)
            self._frames[camera] = frame
            self._condition.notify()
            return displaced

    def take(self, most: int = 1) -> List[T]:
        """Waits for a frame, and takes those of up to `most` cameras that wait; none once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._waiting())
            if self._closed:
                return []
            return [self._pop(camera) for camera in self._waiting()[:most]]

    def clear(self) -> List[T]:
        """Takes all that wait, without waiting."""
        with self._condition:
            return [self._pop(camera) for camera in self._waiting()]

    def close(self) -> None:
        """Lets go whoever waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _waiting(self) -> List[K]:
        return [camera for camera, frame in self._frames.items() if frame is not None]

    def _pop(self, camera: K) -> T:
        frame = self._frames.pop(camera)
        assert frame is not None
        self._frames[camera] = None  # now the last in turn
        return frame
