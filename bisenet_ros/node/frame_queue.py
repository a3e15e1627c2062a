"""The newest frame of every camera: one place each, between the ROS thread and the engine's."""

from __future__ import annotations

import threading
from typing import Callable, Dict, Generic, Hashable, List, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class FrameQueue(Generic[K, T]):
    """Holds the newest frame that each camera put; a newer frame displaces the one that waits.

    The camera that has waited longest since its last turn comes first, so that none starves another.

    Args:
        on_displaced: is given every frame that a newer one has displaced.
    """

    def __init__(self, on_displaced: Callable[[T], None]) -> None:
        self._on_displaced = on_displaced
        self._condition = threading.Condition()
        self._waiting: Dict[K, T] = {}
        self._turns: Dict[K, int] = {}  # how many frames had been taken at the camera's last turn
        self._taken = 0
        self._closed = False

    def put(self, camera: K, frame: T) -> None:
        with self._condition:
            if camera in self._waiting:
                self._on_displaced(self._waiting[camera])
            self._waiting[camera] = frame
            self._condition.notify()

    def take(self, most: int = 1) -> List[T]:
        """Waits for a frame, and takes those of up to `most` cameras; none once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return []
            cameras = sorted(self._waiting, key=lambda camera: self._turns.get(camera, 0))
            return [self._pop(camera) for camera in cameras[:most]]

    def clear(self) -> List[T]:
        """Takes all that wait, without waiting."""
        with self._condition:
            frames = list(self._waiting.values())
            self._waiting.clear()
            return frames

    def close(self) -> None:
        """Lets go whoever waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _pop(self, camera: K) -> T:
        self._taken += 1
        self._turns[camera] = self._taken
        return self._waiting.pop(camera)
