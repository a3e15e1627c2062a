"""What can still be read of a bag's file that was cut off, or never finished, while it was recorded."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from io import BytesIO, RawIOBase
from pathlib import Path
from typing import Any, BinaryIO, Callable, Collection, Dict, Iterator, List, NamedTuple, Tuple

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2.storage_mcap import McapReader

from bisenet_ros.bags.zstd_compression import zstd

MCAP_MAGIC = b"\x89MCAP0\r\n"
MCAP_FOOTER = struct.pack("<BQQQI", 0x02, 20, 0, 0, 0)
"""The record that ends a file without a summary."""
RECORD_HEAD = struct.Struct("<BQ")
"""Of an MCAP record: its kind and the bytes that follow."""
CHUNK, DATA_END = 0x06, 0x0F
CHUNK_HEAD = struct.Struct("<QQQII")
"""Its times, size and checksum, and the length of its compression's name."""
MOST_BYTES = 2**30
"""Of a chunk that is rescued."""
DECOMPRESSORS: Dict[bytes, Callable[[bytes], bytes]] = {
    b"": bytes,
    b"zstd": lambda data: zstd.ZstdDecompressor().decompress(data, max_length=MOST_BYTES),
    b"lz4": lambda data: LZ4FrameDecompressor().decompress(data, max_length=MOST_BYTES),
}


class StoredMessage(NamedTuple):
    topic: str
    type: str
    log_ns: int
    data: bytes


class DamagedSqlite:
    """An SQLite file with pages missing at its end, read in the order that the messages were recorded in."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error where not even the list of topics is left."""
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True, check_same_thread=False)
        self._connection.execute("PRAGMA trusted_schema = OFF")
        # Without it SQLite refuses a file that is shorter than its first page says.
        self._connection.execute("PRAGMA writable_schema = ON")
        rows = self._connection.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
        self._topics: Dict[int, Tuple[str, str]] = {row[0]: (row[1], row[2]) for row in rows if row[3] == "cdr"}

    def close(self) -> None:
        self._connection.close()

    def topics(self) -> List[Tuple[str, str, int]]:
        """(name, type, messages that are left) of each."""
        counts = dict.fromkeys(self._topics, 0)
        with closing(self._connection.execute("SELECT topic_id FROM messages ORDER BY id")) as rows:
            try:
                for (topic,) in rows:
                    counts[topic] = counts.get(topic, 0) + 1
            except sqlite3.Error:  # the end of what is left
                pass
        return [(*self._topics[topic], counts[topic]) for topic in self._topics]

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        """Raises sqlite3.Error where the file breaks off."""
        wanted = [topic for topic, (name, _) in self._topics.items() if name in topics]
        marks = ",".join("?" * len(wanted))
        query = f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY id"
        with closing(self._connection.execute(query, wanted)) as rows:
            for topic, log_ns, data in rows:
                yield StoredMessage(*self._topics[topic], log_ns, data)


class DamagedMcap:
    """The whole records at the beginning of an MCAP file, in the order of the file."""

    def __init__(self, path: Path) -> None:
        """Raises ReaderError or another error of rosbags' where not even the beginning is sound."""
        self._reader = McapReader(_WholeRecords(path))  # type: ignore[arg-type]
        self._reader.open()

    def close(self) -> None:
        self._reader.close()

    def topics(self) -> List[Tuple[str, str, int]]:
        """(name, type, messages that are left) of each."""
        return [(topic.topic, topic.msgtype, topic.msgcount) for topic in self._reader.connections]

    def messages(self, topics: Collection[str]) -> Iterator[StoredMessage]:
        wanted = [connection for connection in self._reader.connections if connection.topic in topics]
        # Messages may be out of order by a little, which `messages` refuses without an index.
        for connection, log_ns, data in self._reader.messages_scan(wanted):
            yield StoredMessage(connection.topic, connection.msgtype, log_ns, data)


class _WholeRecords:
    """A path, as rosbags wants it, to a file's whole records and the ending that they lack."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.suffix = path.suffix

    def open(self, *_: Any, **__: Any) -> BinaryIO:
        whole = _end_of_records(self._path)
        ending = _rescue_chunk(self._path, whole) + MCAP_FOOTER + MCAP_MAGIC
        return _Patched(self._path.open("rb"), whole=whole, ending=ending)  # type: ignore[return-value]

    def __str__(self) -> str:
        return str(self._path)


class _Patched(RawIOBase):
    """The first bytes of a file, then others."""

    def __init__(self, file: BinaryIO, *, whole: int, ending: bytes) -> None:
        self._file = file
        self._whole = whole
        self._ending = ending
        self._size = whole + len(ending)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, min(self._size, offset + (0, self._position, self._size)[whence]))
        return self._position

    def read(self, size: int = -1) -> bytes:
        start, end = self._position, self._size if size < 0 else min(self._size, self._position + size)
        self._file.seek(start)
        found = self._file.read(max(0, min(end, self._whole) - start))
        found += self._ending[max(0, start - self._whole) : max(0, end - self._whole)]
        self._position = end
        return found

    def close(self) -> None:
        self._file.close()
        super().close()


def _end_of_records(path: Path) -> int:
    """Where in an MCAP file the last whole record of its data ends."""
    with path.open("rb") as file:
        return _end_of_whole(file, size=path.stat().st_size, start=len(MCAP_MAGIC))


def _end_of_whole(file: BinaryIO, *, size: int, start: int) -> int:
    while True:
        file.seek(start)
        head = file.read(RECORD_HEAD.size)
        if len(head) < RECORD_HEAD.size:
            return start
        kind, length = RECORD_HEAD.unpack(head)
        end = start + RECORD_HEAD.size + length
        if kind in (0, DATA_END) or end > size:
            return start
        start = end


def _rescue_chunk(path: Path, start: int) -> bytes:
    """The whole records in a chunk that is cut off; b"" where there is no such chunk."""
    with path.open("rb") as file:
        file.seek(start)
        head = file.read(RECORD_HEAD.size)
        if len(head) < RECORD_HEAD.size or head[0] != CHUNK:
            return b""
        body = file.read(RECORD_HEAD.unpack(head)[1])
    if len(body) < CHUNK_HEAD.size:
        return b""
    name_end = CHUNK_HEAD.size + CHUNK_HEAD.unpack_from(body)[-1]
    decompress = DECOMPRESSORS.get(body[CHUNK_HEAD.size : name_end])
    try:
        records = decompress(body[name_end + 8 :]) if decompress else b""
    except (zstd.ZstdError, RuntimeError):
        return b""
    return records[: _end_of_whole(BytesIO(records), size=len(records), start=0)]
