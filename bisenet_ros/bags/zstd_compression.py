"""What rosbag2 compresses with zstd: whole files, or single messages."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from bisenet_ros.bags.storage import DamagedFileError, problem_of

try:
    from compression import zstd
except ImportError:  # before Python 3.14
    from backports import zstd

LONGEST_ZSTD_HEADER = 18
"""Bytes of a zstd frame's header."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""The first bytes of zstd data; a message in CDR begins with a zero."""
MOST_BYTES = 2**30
"""Bytes of a message; more is no image, and would fill the memory."""


def decompress_file(source: Path, target: Path) -> None:
    """Writes the target as far as the source can be read.

    Raises:
        EOFError, zstd.ZstdError: the source is damaged. OSError: the disk is full, or another failure of the system.
    """
    try:
        with zstd.open(source, "rb") as compressed, target.open("wb") as plain:
            _require_room(source, target.parent)
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


def _require_room(source: Path, folder: Path) -> None:
    """Raises OSError where a compressed file says that it holds more than the folder's disk has room for."""
    with source.open("rb") as file:
        size = zstd.get_frame_info(file.read(LONGEST_ZSTD_HEADER)).decompressed_size
    if size is not None and size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)} for {size / 2**20:,.0f} MiB")


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
