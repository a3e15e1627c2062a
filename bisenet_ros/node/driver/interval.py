"""The frames that cameras sent in one interval, their answers, and where the others were lost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, NamedTuple, Optional, Tuple

from bisenet_ros.node.driver.outcomes import UNANSWERED, FrameCounts

FrameKey = Tuple[str, int]
"""A camera, and a stamp in nanoseconds that no other frame has."""


class SentFrame(NamedTuple):
    """A frame's number in the interval, and when it was published: monotonic, in nanoseconds, as all times here."""

    number: int
    time: int


@dataclass
class Interval:
    """What was sent and what came back.

    Attributes:
        outputs: the node's topics that are listened to; the first is the answer to a frame.
        sent: the frames published, all cameras together.
        arrived: when which output of a frame arrived.
        repeated: outputs that arrived once more.
        seconds: how long the cameras sent.
        counts: what the node counted of these frames; None for a node that does not say.
    """

    outputs: Tuple[str, ...]
    sent: Dict[FrameKey, SentFrame] = field(default_factory=dict)
    arrived: Dict[str, Dict[FrameKey, int]] = field(default_factory=dict)
    repeated: int = 0
    seconds: float = 0.0
    counts: Optional[FrameCounts] = None

    def note_arrival(self, key: FrameKey, output: str, *, time: int) -> Optional[SentFrame]:
        """The frame that an output is of; None where it is no frame of this interval, or came before."""
        if key not in self.sent:
            return None
        arrivals = self.arrived.setdefault(output, {})
        if key in arrivals:
            self.repeated += 1
            return None
        arrivals[key] = time
        return self.sent[key]

    @property
    def answers(self) -> Dict[FrameKey, int]:
        """When which frame was answered."""
        return self.arrived.get(self.outputs[0], {})

    @property
    def is_complete(self) -> bool:
        """Whether every frame has all its outputs."""
        return all(len(self.arrived.get(output, {})) == len(self.sent) for output in self.outputs)

    @property
    def lost(self) -> int:
        """Frames without an answer."""
        return len(self.sent) - len(self.answers)

    @property
    def losses(self) -> Dict[str, int]:
        """Where they were lost, by the names in `outcomes.LOSSES`; they sum to `lost`."""
        if self.counts is None:
            return {UNANSWERED: self.lost} if self.lost else {}
        return self.counts.losses(sent=len(self.sent), answered=len(self.answers))

    def latencies(self, output: Optional[str] = None, *, skip: float = 0.0) -> List[float]:
        """Milliseconds from publishing a frame to the arrival of its answer.

        Args:
            output: another one than the answer.
            skip: seconds at the interval's beginning whose frames do not count.
        """
        arrivals = self.arrived.get(output or self.outputs[0], {})
        begin = min((frame.time for frame in self.sent.values()), default=0) + skip * 1e9
        return [(time - self.sent[key].time) / 1e6 for key, time in arrivals.items() if self.sent[key].time >= begin]

    def answers_per_second(self, *, skip: float = 0.0) -> float:
        """Answers per second while the cameras sent, without the first `skip` seconds."""
        times = [frame.time for frame in self.sent.values()]
        if not times:
            return 0.0
        begin, end = min(times) + skip * 1e9, max(times)
        inside = [time for time in self.answers.values() if begin <= time <= end]
        return 1e9 * len(inside) / (end - begin) if end > begin else 0.0
