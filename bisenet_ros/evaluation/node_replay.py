"""What a bag's replay through the running node came to, against the offline result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Dict, List


@dataclass(frozen=True)
class NodeReplay:
    """Frames sent to the node and masks that came back.

    Attributes:
        bag, topic: as in the records.
        rate: the replay's pace; 1 is the bag's own.
        sent: frames published.
        received: masks that came back, each for one of these frames.
        losses: frames without a mask, by where they were lost; they sum to sent - received.
        latency_p50_ms, latency_p99_ms: from sending a frame to receiving its mask; 0 without a mask.
        differing_frames: stamps in ns, as in the bag, of the masks that are not the offline result.
        differing_pixels: in all of them together.
        engine: what the node says of its engine.
    """

    bag: str
    topic: str
    rate: float
    sent: int
    received: int
    losses: Dict[str, int]
    latency_p50_ms: float
    latency_p99_ms: float
    differing_frames: List[int]
    differing_pixels: int
    engine: str

    def to_dict(self) -> Dict[str, Any]:
        return asdict(self)

    def facts(self) -> Dict[str, str]:
        """For people, by name."""
        lost = ", ".join(f"{count} {where}" for where, count in self.losses.items() if count)
        return {
            "frames sent": f"{self.sent} at {self.rate:g} times the bag's pace",
            "masks received": str(self.received),
            "frames lost": f"{self.sent - self.received}" + (f": {lost}" if lost else ""),
            "latency, p50 / p99": f"{self.latency_p50_ms:.1f} / {self.latency_p99_ms:.1f} ms",
            "pixels that differ from the offline result": f"{self.differing_pixels} in "
            f"{len(self.differing_frames)} frames",
            "engine of the node": self.engine,
        }
