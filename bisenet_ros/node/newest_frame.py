"""The newest frame wins: a place for one message between the camera's thread and the engine's."""

from __future__ import annotations

import threading
from typing import Generic, Optional, TypeVar

T = TypeVar("T")


class NewestFrame(Generic[T]):
    """Holds the last message put; whoever takes gets the newest and never a backlog."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._message: Optional[T] = None
        self._closed = False

    def put(self, message: T) -> bool:
        """Leaves a message; True when it displaced one that nobody had taken."""
        with self._condition:
            displaced = self._message is not None
            self._message = message
            self._condition.notify()
            return displaced

    def take(self) -> Optional[T]:
        """Waits for a message; None once closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._message is not None or self._closed)
            if self._closed:
                return None
            message, self._message = self._message, None
            return message

    def close(self) -> None:
        """Lets go whoever waits."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
