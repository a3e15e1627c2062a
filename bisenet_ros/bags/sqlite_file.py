# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""SQLite files of bags, whole or cut off."""

import sqlite3
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Collection, Dict, Iterator, List

from bisenet_ros.bags.storage import BagMessage, DamagedFileError, Topic, problem_of

CHUNK = 2**20
"""Bytes read at once."""


class SqliteFile:
    """An SQLite file that is open; `problem` is what is wrong with it as a whole, "" for nothing.

    Every method raises OSError where the system fails, not the file.
    """

    def __init__(self, path: Path) -> None:
        """Raises DamagedFileError where not even the list of topics is left."""
        self.problem = ""
        self._order = "timestamp, id"
        self._is_read_through = False
        address = f"{path.absolute().as_uri()}?immutable=1"
        with ExitStack() as opened:
            self._file = opened.enter_context(path.open("rb"))
            connection = sqlite3.connect(address, uri=True, check_same_thread=False)
            self._connection = opened.enter_context(closing(connection))
            self._connection.text_factory = lambda data: data.decode(errors="backslashreplace")  # of other topics too
            self._connection.execute("PRAGMA trusted_schema = OFF")
            try:
                self._topics = self._read_topics()
            except DamagedFileError as error:
                self.problem = str(error)
                self._order = "id"  # the index of the times is broken too
                self._connection.execute("PRAGMA writable_schema = ON")  # reads a file shorter than its first page says
                self._topics = self._read_topics()
            self._opened = opened.pop_all()

    def close(self) -> None:
        self._opened.close()

    def topics(self) -> List[Topic]:
        """The topics, with the messages that are left."""
        counts = dict.fromkeys(self._topics, 0)
        try:
            query = "SELECT topic_id FROM messages ORDER BY id"
            with self._as_damaged_file(), closing(self._connection.execute(query)) as rows:
                for (number,) in rows:
                    counts[number] = counts.get(number, 0) + 1
        except DamagedFileError as error:
            self.problem = self.problem or str(error)
        return [topic._replace(messages=counts[number]) for number, topic in self._topics.items()]

    def promised(self) -> Dict[str, int]:
        """Empty, as SQLite counts nothing in advance."""
        return {}

    def messages(self, topics: Collection[str]) -> Iterator[BagMessage]:
        """The messages in the order of recording; of a file that was cut off, in the order of its rows.

        Raises DamagedFileError where the file breaks off.
        """
        wanted = [number for number, topic in self._topics.items() if topic.name in topics]
        query = (
            "SELECT topic_id, CAST(timestamp AS INTEGER), CAST(data AS BLOB) FROM messages "
            f"WHERE topic_id IN ({','.join('?' * len(wanted))}) ORDER BY {self._order}"
        )
        with self._as_damaged_file(), closing(self._connection.execute(query, wanted)) as rows:
            for number, log_ns, data in rows:
                topic = self._topics[number]
                yield BagMessage(topic.name, topic.type, log_ns or 0, data or b"")

    def _read_topics(self) -> Dict[int, Topic]:
        with self._as_damaged_file():
            rows = self._connection.execute("SELECT id, name, type, serialization_format FROM topics").fetchall()
        if not all(isinstance(text, str) for row in rows for text in row[1:]):  # as of a file that was cut off
            raise DamagedFileError("its table of topics is damaged")
        return {number: Topic(name, kind, None, encoding) for number, name, kind, encoding in rows}

    @contextmanager
    def _as_damaged_file(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the second, of SQLite's words with wrong bytes
            self._read_through()
            raise DamagedFileError(problem_of(error)) from error

    def _read_through(self) -> None:
        """Reads the whole file, once: raises OSError where the drive fails, which SQLite takes for a damaged file."""
        if self._is_read_through:
            return
        self._file.seek(0)
        while self._file.read(CHUNK):
            pass
        self._is_read_through = True
