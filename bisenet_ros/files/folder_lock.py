# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Keeps a second process out of a folder that one is at work in."""

import fcntl
from pathlib import Path
from typing import TextIO

from bisenet_ros.errors import BisenetError

LOCK = "lock"
"""The file in the folder that is locked; it stays there."""


def lock_folder(folder: Path) -> TextIO:
    """Locks a folder, which is made where there is none, until the file that is returned is closed.

    On a file system that has no locks, nothing is locked.

    Raises BisenetError where another process has locked it; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BisenetError(f"another process is at work in {folder}; wait for it or stop it") from None
    except OSError:  # the file system has no locks
        pass
    return lock
