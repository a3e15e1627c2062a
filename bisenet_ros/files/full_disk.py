# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Says which folder is on the full disk, and what to do."""

import errno
import os
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

FULL = os.strerror(errno.ENOSPC)


@contextmanager
def explain_full_disk(folder: Path, *, advice: str = "give the same command again") -> Iterator[None]:
    """Raises an OSError (ENOSPC) with the place and what to do, where the disk is full; `folder` is being written."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        # An OSError with other words names its place already. SQLite's error has a code since Python 3.11 only.
        if getattr(error, "strerror", None) != FULL and "disk is full" not in str(error):
            raise
        place = getattr(error, "filename", None) or folder
        raise OSError(errno.ENOSPC, f"{FULL} writing {place}; free some space, and {advice}") from error
