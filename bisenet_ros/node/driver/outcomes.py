"""What became of the frames: the node's own counts, where lost frames were lost, and when a node is at rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Mapping

from bisenet_ros.node.frame_statistics import OUTCOMES

PUBLISHED = "published"
TO_NODE, FROM_NODE, UNANSWERED = "to_the_node", "from_the_node", "unanswered"
LOSSES = {
    TO_NODE: "lost on the way to the node",
    "dropped_newer": "dropped in the node for a newer frame",
    "dropped_stale": "dropped in the node as too old",
    "dropped_rate": "dropped in the node by its publish_rate",
    "dropped_inactive": "dropped in the node while inactive",
    "skipped": "unreadable for the node",
    "failed": "failed in the node's engine",
    FROM_NODE: "lost on the way from the node",
    UNANSWERED: "not answered",
}
"""Where a frame without an answer was lost: the node's outcomes but `published`, and the ways to and from the node.

`unanswered` is all that is known of a node that publishes no diagnostics.
"""


@dataclass(frozen=True)
class FrameCounts:
    """What a node has counted.

    Attributes:
        received: images that came in.
        outcomes: how many of them ended how, by the names in OUTCOMES.
    """

    received: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(values: Mapping[str, str]) -> FrameCounts:
        """Reads the values of a camera's diagnostics."""
        return FrameCounts(int(values["received"]), {outcome: int(values[outcome]) for outcome in OUTCOMES})

    @property
    def is_at_rest(self) -> bool:
        """Whether every frame received has its outcome: none waits, none is being segmented."""
        return self.received == sum(self.outcomes.values())

    def __add__(self, other: FrameCounts) -> FrameCounts:
        return self._combined(other, sign=1)

    def __sub__(self, earlier: FrameCounts) -> FrameCounts:
        return self._combined(earlier, sign=-1)

    def losses(self, *, sent: int, answered: int) -> Dict[str, int]:
        """How many frames were lost where, by the names in LOSSES; of a node at rest they sum to `sent - answered`."""
        inside = {outcome: count for outcome, count in self.outcomes.items() if outcome != PUBLISHED}
        losses = {TO_NODE: sent - self.received, **inside, FROM_NODE: self.outcomes.get(PUBLISHED, 0) - answered}
        return {place: count for place, count in losses.items() if count}

    def _combined(self, other: FrameCounts, *, sign: int) -> FrameCounts:
        outcomes = {
            outcome: self.outcomes.get(outcome, 0) + sign * other.outcomes.get(outcome, 0) for outcome in OUTCOMES
        }
        return FrameCounts(self.received + sign * other.received, outcomes)


def losses_in_words(losses: Mapping[str, int]) -> Dict[str, int]:
    """The same counts by what is said of them to people."""
    return {LOSSES[place]: count for place, count in losses.items()}
