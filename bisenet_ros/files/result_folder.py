# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder that a command writes its results to: a new one, or its own of an earlier run."""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Sequence

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.atomic_write import DEVICES

REMOVED = ".removed"


def require_writable(file: Path) -> None:
    """Raises BisenetError where a file cannot be written: before the work begins, not after it."""
    folder = file.parent
    if folder == DEVICES:
        return
    if file.is_dir():
        raise BisenetError(f"expected a file to write, got the folder {file}")
    if not folder.is_dir():
        raise BisenetError(f"expected a folder at {folder} to write {file.name} to, found none; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BisenetError(f"{file.name} cannot be written to {folder}: permission denied; name another folder")


def require_free(folder: Path, results: Sequence[str] = (), *, force: bool = False, option: str = "-o") -> None:
    """Raises BisenetError where results would lie among other files, or replace those of an earlier run.

    Args:
        results: the names of the files that the command writes.
        force: those of an earlier run may be replaced.
        option: the command's, by which the folder is named.
    """
    if any((folder / name).exists() for name in results):
        if not force:
            raise BisenetError(
                f"{folder} holds the results of an earlier run; add --force to replace them, or name another folder "
                f"with {option}"
            )
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BisenetError(f"{folder} exists and holds something else; name a new folder with {option}")


def require_replaceable(folder: Path, *, option: str = "-o") -> None:
    """Raises BisenetError where a folder that is there cannot be put in the place of, as `put_in_place` does."""
    if folder.exists() and (os.path.ismount(folder) or folder.samefile(os.curdir)):
        kind = "a mount point, such as a volume of a container" if os.path.ismount(folder) else "the current folder"
        raise BisenetError(f"{folder} is {kind}, and cannot be made anew as a whole; name a folder in it with {option}")


def put_in_place(folder: Path, target: Path) -> None:
    """Renames a whole folder to `target`; a folder that is there is set aside before, and removed at last."""
    aside = _set_aside(target) if target.exists() else None
    try:
        folder.rename(target)
    except BaseException:
        if aside and not target.exists():
            (aside / target.name).rename(target)
            aside.rmdir()
        raise
    if aside:
        shutil.rmtree(aside)


def remove(folder: Path) -> None:
    """Removes a folder that is there; where the process is killed meanwhile, no half of it is left under its name."""
    shutil.rmtree(_set_aside(folder))


def remove_left_over(target: Path) -> None:
    """Removes what processes that were killed have left of the two functions above."""
    for left_over in target.parent.glob(f"{target.name}.*{REMOVED}"):
        shutil.rmtree(left_over, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Renames a folder, in one step; returns where it is."""
    aside = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=REMOVED, dir=folder.parent))
    folder.rename(aside / folder.name)
    return aside
