"""One file of a bag, opened by what its name says: SQLite or MCAP, packed with zstd or not."""

from __future__ import annotations

import tempfile
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Iterator, Union

from bisenet_ros.bags.mcap_file import McapFile
from bisenet_ros.bags.sqlite_file import SqliteFile
from bisenet_ros.bags.storage import problem_of
from bisenet_ros.bags.zstd_compression import decompress_file, zstd

Storage = Union[McapFile, SqliteFile]
STORAGE_SUFFIXES = (".db3", ".mcap")
COMPRESSED_SUFFIX = ".zstd"


def is_storage(file: Path) -> bool:
    """By its name."""
    plain = Path(file.stem) if file.suffix == COMPRESSED_SUFFIX else file
    return plain.suffix in STORAGE_SUFFIXES


def repacked(file: Path) -> Path:
    """The name of a file after `zstd` has packed it, or unpacked it."""
    return file.with_suffix("") if file.suffix == COMPRESSED_SUFFIX else file.with_name(file.name + COMPRESSED_SUFFIX)


@contextmanager
def open_storage(file: Path) -> Iterator[Storage]:
    """A file's reader.

    Raises:
        DamagedFileError: nothing in the file can be read. OSError: the system fails, not the file.
    """
    if file.suffix != COMPRESSED_SUFFIX:
        with closing(_open_plain(file)) as storage:
            yield storage
        return
    with tempfile.TemporaryDirectory(prefix="bisenet_bag_") as folder:
        plain = Path(folder) / file.stem
        problem = ""
        try:
            decompress_file(file, plain)
        except (EOFError, zstd.ZstdError) as error:
            problem = problem_of(error)
        with closing(_open_plain(plain)) as storage:
            storage.problem = problem or storage.problem
            yield storage


def _open_plain(file: Path) -> Storage:
    file.open("rb").close()  # SQLite does not tell a file without permission from a damaged one
    if file.suffix == ".mcap":
        return McapFile(file)
    storage = SqliteFile(file)
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        storage.problem = storage.problem or f"{log.name} holds messages that were never moved into the file"
    return storage
