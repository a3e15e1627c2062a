"""What a node says of itself on /diagnostics."""

from __future__ import annotations

from collections import deque
from typing import Callable, Deque, Dict, List, Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from bisenet_ros.node.driver.driver_node import DriverNode
from bisenet_ros.node.driver.outcomes import FrameCounts

KEPT_MESSAGES = 1000
REST_TIMEOUT = 30.0
"""Seconds for a node to come to rest, and to say so."""


class DiagnosticsListener:
    """Keeps the last messages, until `forget`."""

    def __init__(self, driver: DriverNode) -> None:
        self._messages: Deque[DiagnosticArray] = deque(maxlen=KEPT_MESSAGES)
        self._latest: Dict[str, DiagnosticStatus] = {}
        driver.subscribe("/diagnostics", DiagnosticArray, self._keep)

    @property
    def error(self) -> str:
        """Why the node cannot run; empty where it can."""
        messages = [
            status.message
            for name, status in self._latest.items()
            if name.endswith(": segmentation") and status.level == DiagnosticStatus.ERROR
        ]
        return "; ".join(messages)

    @property
    def engine(self) -> str:
        """What the node says of its engine."""
        return next((values["engine"] for values in map(values_of, self._latest.values()) if "engine" in values), "")

    def milliseconds(self) -> Dict[str, float]:
        """The node's own times of its last frames, such as engine_p50_ms; of several cameras the longest."""
        times: Dict[str, float] = {}
        for status in self._latest.values():
            for key, value in values_of(status).items():
                if key.endswith(("_p50_ms", "_p99_ms")):
                    times[key] = max(float(value), times.get(key, 0.0))
        return times

    def statuses(self, name: str) -> List[DiagnosticStatus]:
        """The statuses of this name that have come so far."""
        return [status for array in self._messages for status in array.status if status.name == name]

    def forget(self) -> None:
        """Only what comes from now on counts."""
        self._messages.clear()

    def watch_for_rest(self, name: Optional[str] = None) -> Callable[[], Optional[FrameCounts]]:
        """A condition to wait for: what the node counts, from now, once every frame that it received has its outcome.

        Args:
            name: of one camera's status; default: all cameras together.
        """
        self.forget()

        def counts_at_rest() -> Optional[FrameCounts]:
            found = [counts for counts in (_counts(array, name) for array in self._messages) if counts]
            # The first message may have been on its way already.
            return next((counts for counts in found[1:] if counts.is_at_rest), None)

        return counts_at_rest

    def _keep(self, message: DiagnosticArray) -> None:
        self._messages.append(message)
        self._latest.update({status.name: status for status in message.status})


def values_of(status: DiagnosticStatus) -> Dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def _counts(array: DiagnosticArray, name: Optional[str]) -> Optional[FrameCounts]:
    """Of all cameras of a message together, or of one; None where it has none."""
    statuses = [values_of(status) for status in array.status if name in (None, status.name)]
    counts = [FrameCounts.of(values) for values in statuses if "received" in values]
    return sum(counts, FrameCounts()) if counts else None
