# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The frames that cameras sent in one interval, their answers, and where the others were lost."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Counter, DefaultDict, Dict, List, NamedTuple, Optional, Tuple

LOSSES = {
    "to_the_node": "lost on the way to the node",
    "dropped_newer": "dropped in the node for a newer frame",
    "dropped_stale": "dropped in the node as too old",
    "dropped_rate": "dropped in the node by its publish_rate",
    "dropped_inactive": "dropped in the node while inactive",
    "skipped": "unreadable for the node",
    "failed": "failed in the node's engine",
    "from_the_node": "lost on the way from the node",
    "unanswered": "not answered",
}
"""Where a frame without an answer was lost: the node's outcomes but `published`, and the ways to and from the node.

`unanswered` is all that is known of a node that publishes no diagnostics.
"""
SentKey = Tuple[str, int]
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
        counts: how many of these frames the node has received, and their outcomes; None for a node that does not say.
    """

    outputs: Tuple[str, ...]
    sent: Dict[SentKey, SentFrame] = field(default_factory=dict)
    arrived: DefaultDict[str, Dict[SentKey, int]] = field(default_factory=lambda: defaultdict(dict))
    repeated: int = 0
    counts: Optional[Counter[str]] = None

    def note_arrival(self, key: SentKey, output: str, *, time: int) -> Optional[SentFrame]:
        """The frame that an output is of; None where it is no frame of this interval, or came before."""
        if key not in self.sent:
            return None
        if key in self.arrived[output]:
            self.repeated += 1
            return None
        self.arrived[output][key] = time
        return self.sent[key]

    @property
    def answers(self) -> Dict[SentKey, int]:
        """When which frame was answered."""
        return self.arrived[self.outputs[0]]

    @property
    def is_complete(self) -> bool:
        """Whether every frame has all its outputs."""
        return all(len(self.arrived[output]) == len(self.sent) for output in self.outputs)

    @property
    def lost(self) -> int:
        """Frames without an answer."""
        return len(self.sent) - len(self.answers)

    @property
    def losses(self) -> Dict[str, int]:
        """Where they were lost, by the names in LOSSES; of a node at rest they sum to `lost`."""
        if self.counts is None:
            losses = {"unanswered": self.lost}
        else:
            losses = {place: self.counts[place] for place in LOSSES}
            losses["to_the_node"] = len(self.sent) - self.counts["received"]
            losses["from_the_node"] = self.counts["published"] - len(self.answers)
        return {place: count for place, count in losses.items() if count}

    @property
    def losses_in_words(self) -> Dict[str, int]:
        return {LOSSES[place]: count for place, count in self.losses.items()}

    def latencies(self, output: Optional[str] = None, *, skip: float = 0.0) -> List[float]:
        """Milliseconds from publishing a frame to its answer, or another output, without the first `skip` seconds."""
        begin = self._begin(skip)
        arrivals = self.arrived[output or self.outputs[0]]
        return [(time - self.sent[key].time) / 1e6 for key, time in arrivals.items() if self.sent[key].time >= begin]

    def per_second(self, output: Optional[str] = None, *, skip: float = 0.0) -> float:
        """Answers, or another output, per second, without the first `skip` seconds.

        From one answer to the last, or to the last frame that was sent where the answers stop before; 0 below 2.
        """
        times = [time for time in self.arrived[output or self.outputs[0]].values() if time >= self._begin(skip)]
        if len(times) < 2:
            return 0.0
        end = max(*times, *(frame.time for frame in self.sent.values()))
        return 1e9 * (len(times) - 1) / (end - min(times))

    def _begin(self, skip: float) -> float:
        return min((frame.time for frame in self.sent.values()), default=0) + skip * 1e9
