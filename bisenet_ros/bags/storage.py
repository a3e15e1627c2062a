# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the readers of a bag's files, `McapFile` and `SqliteFile`, have in common."""

from dataclasses import dataclass
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple

MOST_BYTES = 2**30
"""Bytes of a message or record at most; more is no image but damage, and would fill the memory."""


class DamagedFileError(Exception):
    """A file that breaks off or holds wrong bytes; the message says what is wrong."""


class Topic(NamedTuple):
    """A topic that was recorded; `messages` is None where their number is not known."""

    name: str
    type: str
    messages: Optional[int]
    encoding: str = "cdr"

    @property
    def is_cdr(self) -> bool:
        """Whether the messages are in ROS 2's encoding, or it is not said in which."""
        return self.encoding in ("cdr", "")


@dataclass(frozen=True)
class BagMessage:
    """A message as it was recorded at `log_ns`, in CDR; a bag gives it its `index` in the topic, from 0."""

    topic: str
    type: str
    log_ns: int
    data: bytes
    index: int = 0

    @property
    def number(self) -> int:
        """The message's number in its topic, from 1."""
        return self.index + 1


def problem_of(error: BaseException) -> str:
    """An error in one line without a full stop."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")


def merge_topics(topics: Iterable[Topic]) -> List[Topic]:
    """One entry for each name and type; several publishers, or files, have an entry each."""
    merged: Dict[Tuple[str, str, str], Topic] = {}
    for topic in topics:
        key = topic.name, topic.type, topic.encoding
        counts = [merged[key].messages if key in merged else 0, topic.messages]
        merged[key] = topic._replace(messages=None if None in counts else sum(filter(None, counts)))
    return list(merged.values())
