"""What a report says of the run itself: bags, model, engine, machine, protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Tuple

from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.evaluation.node_replay import NodeReplay


@dataclass(frozen=True)
class Source:
    """One topic of one bag.

    Attributes:
        bag: a short name, its own in the run; the records have it too.
        path: where the bag lies.
        topic, message_type: of the images.
        masks, mask_topic: the bag of its masks, relative to the report's folder, and the topic in it.
        skipped: messages that could not be read, by reason.
        ended_early: where and why the bag ends before its time, in words; empty for a whole bag.
        backwards: how often a stamp was before the one of the frame before.
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

    @property
    def notices(self) -> List[str]:
        """What went wrong, in words."""
        found = [self.ended_early] if self.ended_early else []
        found += [f"{count} messages were skipped: {reason}" for reason, count in self.skipped.items()]
        if self.backwards:
            found.append(f"stamps went backwards {self.backwards} times; those frames were not compared in time")
        return found


@dataclass(frozen=True)
class RunSummary:
    """One run of `bisenet evaluate-bag`.

    Attributes:
        model: facts for people by name, among them "file" and "sha256".
        engine: the engine's description.
        machine: from `describe_machine`.
        protocol: facts for people by name, with units.
        through_node: the replays through the running node, where there were any.
        notices: what went wrong beside the sources' own, in words.
    """

    labels: ClassMap
    model: Dict[str, str]
    engine: str
    machine: Dict[str, str]
    protocol: Dict[str, str]
    sources: List[Source]
    through_node: Tuple[NodeReplay, ...] = ()
    notices: Tuple[str, ...] = ()
