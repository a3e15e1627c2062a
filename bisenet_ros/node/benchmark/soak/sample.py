"""What a soak looks at every second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Deque, List, Mapping, Optional, Sequence, Set, Tuple

import numpy as np

from bisenet_ros.node.benchmark.segment import Segment
from bisenet_ros.node.diagnostics.frame_statistics import WINDOW

SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Sample:
    """The node during one second.

    Attributes:
        seconds: since the soak began.
        rss, pss, private, shared_memory: MB; shared_memory is the size of what it has mapped of /dev/shm.
        masks: that arrived.
        latency_ms: their median; None if there was none.
        window_ms: the median of as many last masks as the node takes its own medians over, which are the others:
        engine_ms, and wait_ms, from a frame's arrival in the node to its turn.
    """

    seconds: float
    rss: float
    pss: float
    private: float
    shared_memory: float
    masks: int
    latency_ms: Optional[float]
    window_ms: Optional[float]
    engine_ms: float
    wait_ms: float


def take_sample(pid: int, *, seconds: float, arrivals: Arrivals, times: Mapping[str, float]) -> Sample:
    """Looks at the node's process; `times` are those of its diagnostics."""
    import psutil

    memory = psutil.Process(pid).memory_full_info()
    latencies = arrivals.take()
    return Sample(
        seconds=round(seconds, 2),
        rss=_megabytes(memory.rss),
        pss=_megabytes(memory.pss),
        private=_megabytes(memory.uss),
        shared_memory=_megabytes(sum(size_of(path) for path in mapped_files(pid))),
        masks=len(latencies),
        latency_ms=_median(latencies),
        window_ms=_median(arrivals.window),
        engine_ms=times["engine_p50_ms"],
        wait_ms=times["wait_p50_ms"],
    )


class Arrivals:
    """The latencies of the masks that come, in milliseconds.

    Attributes:
        window: of the last masks.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._told = 0
        self._unmatched: List[Tuple[Any, int]] = []  # masks are told of before their images, at times
        self.window: Deque[float] = deque(maxlen=WINDOW)

    def take(self) -> List[float]:
        """Of those since the last look."""
        arrived = list(self._segment.arrived.get(self._segment.outputs[0], {}).items())
        new = self._unmatched + arrived[self._told :]
        self._told = len(arrived)
        sent = self._segment.sent
        latencies = [(time - sent[key]) / 1e6 for key, time in new if key in sent]
        self._unmatched = [(key, time) for key, time in new if key not in sent]
        self.window.extend(latencies)
        return latencies


def mapped_files(pid: int) -> Set[Path]:
    """What a process has mapped of Fast DDS's in /dev/shm."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:  # it has ended
        return set()
    paths = (line.split(maxsplit=5)[5] for line in lines if f"{SHARED_MEMORY}/" in line)
    return {Path(path) for path in paths if "fast" in Path(path).name and not path.endswith("(deleted)")}


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _median(values: Sequence[float]) -> Optional[float]:
    return round(float(np.median(values)), 2) if values else None


def _megabytes(count: int) -> float:
    return round(count / 1e6, 3)
