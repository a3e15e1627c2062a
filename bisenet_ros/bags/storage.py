"""What every storage format of a bag's files offers."""

from __future__ import annotations

from typing import Collection, Dict, Iterator, List, NamedTuple, Optional, Protocol, Tuple


class DamagedFileError(Exception):
    """A file that breaks off or holds wrong bytes; the message says what is wrong."""


class Topic(NamedTuple):
    """A topic that was recorded.

    Attributes:
        messages: how many there are, None where that is not known.
        encoding: of the messages; ROS 2's is "cdr".
    """

    name: str
    type: str
    messages: Optional[int]
    encoding: str = "cdr"


class StoredMessage(NamedTuple):
    """A message as it is stored: when it was recorded, in ns, and its bytes."""

    topic: str
    type: str
    log_ns: int
    data: bytes


class Storage(Protocol):
    """A file that is open.

    Attributes:
        problem: what is wrong with the file as a whole; "" for nothing.
    """

    problem: str

    def topics(self) -> List[Topic]:
        """Raises DamagedFileError where not even the topics can be read."""

    def promised(self) -> Dict[str, int]:
        """How many messages the file itself says that a topic has, where it says so."""

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """The messages of some topics, by the time they were recorded at where the file is whole.

        Raises:
            DamagedFileError: the file breaks off.
        """

    def close(self) -> None: ...


def problem_of(error: BaseException) -> str:
    """An error in one line without a full stop."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")


def merge_topics(topics: Collection[Topic]) -> List[Topic]:
    """One entry for each name and type; several publishers, or files, have an entry each."""
    merged: Dict[Tuple[str, str, str], Topic] = {}
    for topic in topics:
        key = topic.name, topic.type, topic.encoding
        before = merged.get(key)
        if before is not None:
            known = before.messages is not None and topic.messages is not None
            topic = topic._replace(messages=(before.messages or 0) + (topic.messages or 0) if known else None)
        merged[key] = topic
    return list(merged.values())
