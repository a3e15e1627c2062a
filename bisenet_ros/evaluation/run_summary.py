# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The facts of a run that its report shows: sources, model, engine, machine, protocol, replays through the node."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

from bisenet_ros.model.class_map import ClassMap

TopicKey = Tuple[str, str]
"""Bag and topic."""


@dataclass
class Source:
    """One topic of one bag, and what became of its messages.

    Attributes:
        bag: a short name, its own in the run; the records have it too.
        path: where the bag lies.
        topic, message_type: of the images.
        masks, mask_topic: the bag of its masks, relative to the report's folder, and the topic in it.
        skipped: messages that could not be decoded, by reason.
        ended_early: where the bag is damaged, incomplete, or has other messages than it promises, as text; else empty.
        backwards: how often a stamp was before that of the frame before.
        read, promised: messages; None where the bag does not say how many there are.
        frames: messages that were segmented.
        jobs: how many bags were segmented side by side, as text.
        repeated: frames whose stamp an earlier frame has.
        unmatched: of the stamps that repeat, those with fewer or more ground truth than frames.
    """

    bag: str
    path: str
    topic: str
    message_type: str
    masks: str
    mask_topic: str
    skipped: Dict[str, int]
    ended_early: str = ""
    backwards: int = 0
    read: int = 0
    frames: int = 0
    jobs: str = "1"
    promised: Optional[int] = None
    repeated: int = 0
    unmatched: int = 0

    @property
    def key(self) -> TopicKey:
        return self.bag, self.topic

    @property
    def faulty(self) -> bool:
        """Whether frames were lost, or may have been scored by the ground truth of others."""
        return bool(self.skipped or self.ended_early or self.unmatched or not self.read)

    @property
    def notices(self) -> List[str]:
        """What is to be said of the messages, as text."""
        found = [self.ended_early] if self.ended_early else []
        if not self.read and not self.ended_early:
            found.append("there is no message")
        found += [f"{count} messages were skipped: {reason}" for reason, count in self.skipped.items()]
        if self.backwards:
            found.append(f"stamps went backwards {self.backwards} times; those frames were not compared in time")
        if self.repeated:
            found.append(
                f"{self.repeated} frames have the stamp of an earlier frame; they are told apart by their order"
            )
        if self.unmatched:
            found.append(
                f"{self.unmatched} of these stamps have more or less ground truth than frames: frames may have been "
                "scored by the ground truth of others"
            )
        return found


@dataclass(frozen=True)
class NodeReplay:
    """A bag's replay through a real node: frames sent to it and masks that came back.

    Attributes:
        rate: the replay's pace; 1 is the bag's own.
        received: masks that came back, each for one of the frames sent.
        losses: frames without a mask, by where they were lost; they sum to sent - received.
        latency_p50_ms, latency_p99_ms: from sending a frame to receiving its mask; None without a mask.
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
    latency_p50_ms: Optional[float]
    latency_p99_ms: Optional[float]
    differing_frames: List[int]
    differing_pixels: int
    engine: str

    def facts(self) -> Dict[str, str]:
        """The facts of the run as text, by name."""
        lost = ", ".join(f"{count} {where}" for where, count in self.losses.items() if count)
        latency, differing = "-", "-"
        if self.received:
            latency = f"{self.latency_p50_ms:.1f} / {self.latency_p99_ms:.1f} ms"
            differing = f"{self.differing_pixels} in {len(self.differing_frames)} frames"
        return {
            "frames sent": f"{self.sent} at {self.rate:g} times the bag's pace",
            "masks received": str(self.received),
            "frames lost": f"{self.sent - self.received}" + (f": {lost}" if lost else ""),
            "latency, p50 / p99": latency,
            "pixels that differ from the offline result": differing,
            "engine of the node": self.engine,
        }


@dataclass(frozen=True)
class RunSummary:
    """One run of `bisenet evaluate-bag`.

    `model`, `machine` and `protocol` are facts for people by name; `notices` what went wrong beside the sources' own.
    """

    classes: ClassMap
    model: Dict[str, str]
    engine: str
    machine: Dict[str, str]
    protocol: Dict[str, str]
    sources: List[Source]
    through_node: Tuple[NodeReplay, ...] = ()
    notices: Tuple[str, ...] = ()
