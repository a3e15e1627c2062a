# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Says which folder is on the full disk, and what to do."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

FULL = os.strerror(errno.ENOSPC)


@contextmanager
def explain_full_disk(folder: Path, *, advice: str = "give the same command again") -> Iterator[None]:
    """Raises an OSError (ENOSPC) with the place and what to do, where the disk is full; `folder` is being written."""
    try:
        yield
    except OSError as error:
        if error.strerror != FULL:  # one with other words names its place already
            raise
        raise OSError(
            errno.ENOSPC, f"{FULL} writing {error.filename or folder}; free some space, and {advice}"
        ) from error
