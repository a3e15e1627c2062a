# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself on /diagnostics."""

import collections
from typing import Counter, Deque, Dict, Optional

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

from bisenet_ros.node.driver.ros_client import RosClient
from bisenet_ros.node.frame_statistics import OUTCOMES, count_waiting

KEPT_MESSAGES = 1000
DRAIN_SECONDS = 0.1
"""To receive the messages that are queued."""


class DiagnosticsListener:
    """Keeps the last messages, until `forget`."""

    def __init__(self, ros: RosClient) -> None:
        self.messages: Deque[DiagnosticArray] = collections.deque(maxlen=KEPT_MESSAGES)
        self._latest: Dict[str, DiagnosticStatus] = {}
        self._ros = ros
        ros.subscribe("/diagnostics", DiagnosticArray, self._keep)

    @property
    def error(self) -> str:
        """Why the node cannot run; empty where it can."""
        nodes = [status for name, status in self._latest.items() if name.endswith(": segmentation")]
        return "; ".join(status.message for status in nodes if status.level == DiagnosticStatus.ERROR)

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

    def forget(self) -> None:
        """Only what comes from now on counts; what is queued is received first."""
        self._ros.spin_until(lambda: False, DRAIN_SECONDS)
        self.messages.clear()

    def counts_at_rest(self, name: Optional[str] = None) -> Optional[Counter[str]]:
        """What the node counts, from `forget` on, once every frame that it received has its outcome; None before.

        Two messages must say the same: frames may still be on the way, and the node may have made the first message
        before `forget` and sent it after.

        Args:
            name: of one camera's status; by default all cameras count together.
        """
        found = [counts for counts in (_count_frames(array, name) for array in self.messages) if counts]
        pairs = zip(found, found[1:])
        return next((counts for before, counts in pairs if not count_waiting(counts) and counts == before), None)

    def _keep(self, message: DiagnosticArray) -> None:
        self.messages.append(message)
        self._latest.update({status.name: status for status in message.status})


def values_of(status: DiagnosticStatus) -> Dict[str, str]:
    return {entry.key: entry.value for entry in status.values}


def _count_frames(array: DiagnosticArray, name: Optional[str]) -> Optional[Counter[str]]:
    """The frames received and their outcomes, of one camera or of all; None where the message has no camera."""
    values = [values_of(status) for status in array.status if name in (None, status.name)]
    cameras = [entries for entries in values if "received" in entries]
    if not cameras:
        return None
    return collections.Counter({key: sum(int(c[key]) for c in cameras) for key in ("received", *OUTCOMES)})
