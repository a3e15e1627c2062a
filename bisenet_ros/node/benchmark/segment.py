"""What happened to the frames of one stretch of time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

SETTLING = 0.5
"""Seconds at the beginning of a segment whose latencies are not counted: caches still hold the other pipeline."""

FrameKey = Tuple[str, int]
"""A camera and a stamp in nanoseconds."""


@dataclass(frozen=True)
class NodeCounts:
    """The node's own account, from its diagnostics: of the frames of this segment.

    Attributes:
        received: by the node's callback.
        published: masks.
        lost: by reason: dropped_newer, dropped_stale, skipped, failed, ...
        times: milliseconds, such as engine_p50_ms, over the node's last frames.
        engine: what it ran on.
    """

    received: int
    published: int
    lost: Dict[str, int]
    times: Dict[str, float]
    engine: str


@dataclass
class Segment:
    """One pipeline at one rate.

    Attributes:
        sent: when each frame was published; monotonic, nanoseconds, as all times here.
        arrived: when which output arrived: {output: {frame: time}}; also what comes late from before.
        repeated: messages that came a second time.
        seconds: how long the cameras sent.
        processor: seconds of CPU time that each process had meanwhile.
        node: None for other pipelines.
    """

    pipeline: str
    rate: float
    outputs: Tuple[str, ...]
    sent: Dict[FrameKey, int] = field(default_factory=dict)
    arrived: Dict[str, Dict[FrameKey, int]] = field(default_factory=dict)
    repeated: int = 0
    seconds: float = 0.0
    processor: Dict[str, float] = field(default_factory=dict)
    node: Optional[NodeCounts] = None

    @property
    def answers(self) -> Dict[FrameKey, int]:
        """The arrivals of the first output: the mask."""
        return self.arrivals(self.outputs[0])

    @property
    def lost(self) -> int:
        return len(self.sent) - len(self.answers)

    @property
    def complete(self) -> bool:
        """Whether nothing can come any more."""
        return all(self.sent.keys() <= self.arrived.get(output, {}).keys() for output in self.outputs)

    def arrivals(self, output: str) -> Dict[FrameKey, int]:
        """When which frame's output arrived."""
        return {key: time for key, time in list(self.arrived.get(output, {}).items()) if key in self.sent}

    @property
    def lost_where(self) -> Dict[str, int]:
        """Reasons that add up to `lost`; a pipeline without an account of its own has "unanswered" alone."""
        if self.node is None:
            return {"unanswered": self.lost} if self.lost else {}
        places = {
            "to_the_node": len(self.sent) - self.node.received,
            **self.node.lost,
            "from_the_node": self.node.published - len(self.answers),
        }
        unexplained = self.lost - sum(places.values())
        return {place: count for place, count in {**places, "unexplained": unexplained}.items() if count}

    def latencies(self, output: Optional[str] = None) -> List[float]:
        """Milliseconds from publishing a frame to the arrival of its answer, without the settling."""
        if not self.sent:
            return []
        settled = min(self.sent.values()) + SETTLING * 1e9
        arrivals = self.arrivals(output or self.outputs[0])
        return [(time - self.sent[key]) / 1e6 for key, time in arrivals.items() if self.sent[key] >= settled]

    @property
    def frames_per_second(self) -> float:
        """Answers per second, while the cameras sent."""
        if not self.sent:
            return 0.0
        first, last = min(self.sent.values()) + SETTLING * 1e9, max(self.sent.values())
        inside = [time for time in self.answers.values() if first <= time <= last]
        return 1e9 * len(inside) / (last - first) if last > first else 0.0

    def note_sent(self, batch: List[Any]) -> None:
        for camera, stamp, time in batch:
            self.sent[camera, stamp] = time

    def note_arrived(self, batch: List[Any]) -> None:
        for pipeline, camera, output, stamp, time in batch:
            if pipeline != self.pipeline:
                continue
            arrivals = self.arrived.setdefault(output, {})
            self.repeated += (camera, stamp) in arrivals
            arrivals.setdefault((camera, stamp), time)
