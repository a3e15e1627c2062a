# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One file of a bag, opened by what it holds, whatever it is called: SQLite or MCAP, compressed with zstd or not."""

import errno
import os
import shlex
import shutil
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Iterator, Union

from bisenet_ros.bags.bag_files import unpacked
from bisenet_ros.bags.mcap_file import MCAP0_MAGIC, McapFile
from bisenet_ros.bags.sqlite_file import SqliteFile
from bisenet_ros.bags.storage import MOST_BYTES, DamagedFileError, problem_of
from bisenet_ros.files.file_content import describe_bytes, first_bytes

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

Storage = Union[McapFile, SqliteFile]
LONGEST_ZSTD_HEADER = 18
"""Bytes of a zstd frame's header."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of zstd data; a message in CDR begins with a zero."""
SQLITE_MAGIC = b"SQLite format 3\0"


@contextmanager
def open_storage(file: Path) -> Iterator[Storage]:
    """A file's reader.

    Raises DamagedFileError where nothing in the file can be read; OSError where the system fails, not the file.
    """
    if not first_bytes(file).startswith(ZSTD_MAGIC):
        with closing(_open_plain(file)) as storage:
            yield storage
        return
    with tempfile.TemporaryDirectory(prefix="bisenet_bag_") as folder:
        plain = Path(folder) / unpacked(file).name
        problem = ""
        try:
            _decompress_file(file, plain)
        except (EOFError, zstd.ZstdError) as error:
            problem = problem_of(error)  # what could be decompressed is read
        with closing(_open_plain(plain)) as storage:
            plain.unlink()  # it stays open; where the process is killed, none of it is left
            storage.problem = problem or storage.problem
            yield storage


def decompress_message(data: bytes) -> bytes:
    """A message as it was before rosbag2 compressed it, if it did; raises DamagedFileError."""
    if data[:4] != ZSTD_MAGIC:
        return data
    decompressor = zstd.ZstdDecompressor()
    try:
        plain = decompressor.decompress(data, max_length=MOST_BYTES)
    except zstd.ZstdError as error:
        raise DamagedFileError(problem_of(error)) from error
    if not decompressor.eof:
        what = "ends too early" if decompressor.needs_input else f"has more than {MOST_BYTES} bytes"
        raise DamagedFileError(f"a compressed message {what}")
    return plain


def _open_plain(file: Path) -> Storage:
    start = first_bytes(file)
    if start.startswith(MCAP0_MAGIC):
        return McapFile(file)
    log = file.with_name(f"{file.name}-wal")
    if not start.startswith(SQLITE_MAGIC):
        problem = f"it is {describe_bytes(start)}, no SQLite and no MCAP file"
        if _size(log):  # which SQLite removes where it opens an empty file
            problem += f"; {log.name} holds messages: copy both before you open them with sqlite3"
        raise DamagedFileError(problem)
    storage = SqliteFile(file)
    if _size(log) and not storage.problem:
        command = f"sqlite3 {shlex.quote(str(file))} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        storage.problem = (
            f"{log.name} holds messages that are not in the file yet; in a copy of the bag, `{command}` moves them"
        )
    return storage


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _decompress_file(source: Path, target: Path) -> None:
    """Raises EOFError or ZstdError where the source is damaged; an OSError of a full disk says what to do."""
    try:
        with zstd.open(source, "rb") as compressed, target.open("wb") as plain:
            with source.open("rb") as file:
                size = zstd.get_frame_info(file.read(LONGEST_ZSTD_HEADER)).decompressed_size
            if size is not None and size > shutil.disk_usage(target.parent).free:
                raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} for {size / 2**20:,.0f} MiB")
            shutil.copyfileobj(compressed, plain)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        folder = target.parent.parent
        free = shutil.disk_usage(folder).free / 2**20
        raise OSError(
            errno.ENOSPC,
            f"{error.strerror}: {source} is unpacked in {folder}, where {free:,.0f} MiB are free; free some, or set "
            "TMPDIR to a folder on a larger disk",
        ) from error
