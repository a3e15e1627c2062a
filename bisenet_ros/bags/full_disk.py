"""One message for a full disk, whichever library meets it."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union

FULL = os.strerror(errno.ENOSPC)


@contextmanager
def full_disk_told(folder: Path) -> Iterator[None]:
    """Raises an OSError (ENOSPC) with the place and what to do, where the disk is full; `folder` is being written."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not _is_full_disk(error):
            raise
        place = getattr(error, "filename", None) or folder
        raise OSError(
            errno.ENOSPC, f"{FULL} writing {place}; free some space, and give the same command again"
        ) from error


def _is_full_disk(error: Union[OSError, sqlite3.OperationalError]) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOSPC and error.strerror == FULL  # with other words, it names its place already
    return "disk is full" in str(error)  # its code is known since Python 3.11 only
