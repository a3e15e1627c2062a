# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MCAP files, by the index where it is complete, else by scanning all records."""

import errno
import os
import struct
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Collection, Dict, Iterator, List, Optional, Tuple

import zstandard
from mcap.exceptions import EndOfFile, McapError
from mcap.reader import SeekingReader
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import CRCValidationError, StreamReader
from mcap.summary import Summary
from mcap.writer import MCAP0_MAGIC

from bisenet_ros.bags.storage import MOST_BYTES, BagMessage, DamagedFileError, Topic, merge_topics, problem_of

DAMAGE = (
    McapError,
    CRCValidationError,
    struct.error,
    ValueError,
    LookupError,
    OverflowError,
    MemoryError,
    zstandard.ZstdError,
    RuntimeError,
)
"""What wrong bytes make the reader raise; a RuntimeError is lz4's."""


class McapFile:
    """An MCAP file that is open; `problem` is what is wrong with it as a whole, "" for nothing."""

    def __init__(self, path: Path) -> None:
        """Raises DamagedFileError where it is no MCAP file; OSError."""
        self.problem = ""
        self._summary: Optional[Summary] = None
        self._file = path.open("rb")
        try:
            with _as_damaged_file():
                self._indexed = SeekingReader(self._file, validate_crcs=True, record_size_limit=MOST_BYTES)
        except DamagedFileError:
            self.close()
            raise
        try:
            with _as_damaged_file():
                self._summary = self._indexed.get_summary()
        except DamagedFileError as error:
            self.problem = str(error) if self._is_closed() else "it has no end, as after a recording that was cut off"

    def close(self) -> None:
        self._file.close()

    def topics(self) -> List[Topic]:
        """The topics by the summary; where it lacks channels, those with messages by reading the whole file."""
        summary = self._summary
        if summary and _lists_all_channels(summary):
            counts = self._channel_counts()
            channels = summary.channels.values()
            return merge_topics(_topic(summary.schemas.get(it.schema_id), it, counts.get(it.id)) for it in channels)
        found: List[Topic] = []
        try:
            with _as_damaged_file():
                for schema, channel, _ in self._find(None):
                    found = merge_topics([*found, _topic(schema, channel, 1)])
        except DamagedFileError as error:
            self.problem = self.problem or str(error)
        return found

    def promised(self) -> Dict[str, int]:
        """How many messages a topic has by the file's statistics, where these tell."""
        found: Counter = Counter()
        for number, count in self._channel_counts().items():
            if self._summary and number in self._summary.channels:
                found[self._summary.channels[number].topic] += count
        return found

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages in the order of recording by a complete index, else in the file's order.

        Raises DamagedFileError where the file breaks off.
        """
        with _as_damaged_file():
            for schema, channel, message in self._find(topics):
                yield BagMessage(channel.topic, schema.name if schema else "", message.log_time, message.data)

    def _find(self, topics: Optional[Collection[str]]) -> Iterator[Tuple[Optional[Schema], Channel, Message]]:
        if self._summary and _index_is_complete(self._summary):
            return self._indexed.iter_messages(topics)
        return self._scan(topics)

    def _scan(self, topics: Optional[Collection[str]]) -> Iterator[Tuple[Optional[Schema], Channel, Message]]:
        """The messages in the file's order. mcap's own NonSeekingReader refuses a file for one channel's schema."""
        self._file.seek(0)
        schemas: Dict[int, Schema] = {}
        channels: Dict[int, Channel] = {}
        for record in StreamReader(self._file, validate_crcs=True, record_size_limit=MOST_BYTES).records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                channels[record.id] = record
            elif isinstance(record, Message):
                channel = channels.get(record.channel_id)
                if channel is None:
                    raise McapError(f"it has a message of channel {record.channel_id}, which it does not describe")
                if topics is None or channel.topic in topics:
                    yield schemas.get(channel.schema_id), channel, record

    def _is_closed(self) -> bool:
        self._file.seek(-len(MCAP0_MAGIC), os.SEEK_END)
        return self._file.read() == MCAP0_MAGIC

    def _channel_counts(self) -> Dict[int, int]:
        """Messages by channel; channels are missing where the statistics do not count them."""
        if self._summary is None or self._summary.statistics is None:
            return {}
        counted = self._summary.statistics.channel_message_counts
        if sum(counted.values()) != self._summary.statistics.message_count:
            return counted
        return {number: counted.get(number, 0) for number in self._summary.channels}


def _topic(schema: Optional[Schema], channel: Channel, messages: Optional[int]) -> Topic:
    return Topic(channel.topic, schema.name if schema else "", messages, channel.message_encoding)


def _lists_all_channels(summary: Summary) -> bool:
    known = all(channel.schema_id in (0, *summary.schemas) for channel in summary.channels.values())
    return known and summary.statistics is not None and len(summary.channels) == summary.statistics.channel_count


def _index_is_complete(summary: Summary) -> bool:
    chunks = summary.chunk_indexes
    counted = summary.statistics.chunk_count if summary.statistics else 0
    indexed = len(chunks) == counted > 0 and all(chunk.message_index_offsets for chunk in chunks)
    return indexed and _lists_all_channels(summary)


def _in_words(error: Exception) -> str:
    if isinstance(error, UnicodeError):
        return f"it has a name that is not UTF-8: {problem_of(error)}"
    if isinstance(error, MemoryError):
        return "it claims more bytes than fit into memory"
    if isinstance(error, LookupError):
        return f"it refers to {error}, which it does not hold"
    return "it breaks off" if isinstance(error, EndOfFile) else problem_of(error)


@contextmanager
def _as_damaged_file() -> Iterator[None]:
    """Raises DamagedFileError for the errors that wrong bytes make the reader raise."""
    try:
        yield
    except DAMAGE as error:
        raise DamagedFileError(_in_words(error)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # a wrong offset makes an invalid seek
            raise
        raise DamagedFileError(problem_of(error)) from error
