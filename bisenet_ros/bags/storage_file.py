"""One file of a bag, and what is wrong with it."""

from __future__ import annotations

import errno
import sqlite3
import struct
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Collection, Iterator, List, Tuple, Union

import apsw
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.rosbag2.storage_mcap import McapReader
from rosbags.serde import SerdeError

from bisenet_ros.bags.damaged_storage import DamagedMcap, DamagedSqlite, StoredMessage
from bisenet_ros.bags.zstd_compression import decompress_file, zstd

STORAGE_SUFFIXES = (".db3", ".mcap")
COMPRESSED_SUFFIX = ".zstd"
STORAGE_ERRORS = (
    ReaderError,
    sqlite3.Error,
    apsw.Error,
    zstd.ZstdError,
    SerdeError,
    OSError,
    EOFError,
    RuntimeError,  # lz4's
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    struct.error,
)
"""All that a file with wrong bytes makes its readers raise."""


def is_storage(file: Path) -> bool:
    """By its name."""
    plain = Path(file.stem) if file.suffix == COMPRESSED_SUFFIX else file
    return plain.suffix in STORAGE_SUFFIXES


def problem_of(error: BaseException) -> str:
    """An error as one line without a full stop."""
    return (" ".join(str(error).split()) or type(error).__name__).rstrip(".")


def damage_of(error: BaseException) -> str:
    """What is wrong with a file, by its reader's error; raises it again where the system is to blame."""
    for cause in (error, error.__cause__):
        # A wrong offset in a file makes an invalid seek.
        if isinstance(cause, OSError) and cause.errno not in (None, errno.EINVAL):
            raise cause
    return problem_of(error)


class _WholeStorage:
    """A file that rosbags reads as it is."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def topics(self) -> List[Tuple[str, str, int]]:
        return [(topic.topic, topic.msgtype, topic.msgcount) for topic in self._reader.connections]

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        storage = self._reader.storage
        if not wanted:
            return
        if isinstance(storage, McapReader) and not storage.chunks:
            found = storage.messages_scan(wanted)  # `messages` refuses a file without an index that is out of order
        else:
            found = self._reader.messages(wanted)
        for connection, log_ns, data in found:
            yield StoredMessage(connection.topic, connection.msgtype, log_ns, data)


Storage = Union[_WholeStorage, DamagedMcap, DamagedSqlite]


@contextmanager
def open_storage(file: Path) -> Iterator[Tuple[Storage, str]]:
    """A file's reader and what is wrong with the file, "" for nothing.

    Raises one of STORAGE_ERRORS where nothing can be read.
    """
    if file.suffix != COMPRESSED_SUFFIX:
        with _open_plain(file) as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix="bisenet_bag_") as folder:
        plain = Path(folder) / file.stem
        problem = ""
        try:
            decompress_file(file, plain)
        except (EOFError, zstd.ZstdError) as error:
            problem = problem_of(error)
        with _open_plain(plain) as (storage, other):
            yield storage, problem or other


@contextmanager
def _open_plain(file: Path) -> Iterator[Tuple[Storage, str]]:
    log = file.with_name(f"{file.name}-wal")
    problem = f"{log.name} holds messages that were never moved into the file" if _has_bytes(log) else ""
    file.open("rb").close()  # readers do not tell a file without permission from a damaged one
    reader = Reader(file)
    try:
        reader.open()
    except STORAGE_ERRORS as error:
        problem = damage_of(error)
        with closing(DamagedMcap(file) if file.suffix == ".mcap" else DamagedSqlite(file)) as damaged:
            yield damaged, problem
        return
    with closing(reader):
        yield _WholeStorage(reader), problem


def _has_bytes(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0
