# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder that a command writes its results to: a new one, or its own of an earlier run."""

import glob
import os
import re
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Optional, Sequence

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.atomic_write import KEPT_CHARACTERS, is_written_in_place, remove_partial

UNFINISHED, REMOVED = "partial", "removed"
"""Suffixes of the folders beside a result: it lies in the one until it is whole, in the other until it is removed."""
BESIDE = rf"\.([0-9]{{1,9}})\.[a-z0-9_]{{8}}\.({UNFINISHED}|{REMOVED})"
"""What follows a result's name in theirs: the process, what `tempfile` draws, and the suffix."""


def require_writable(file: Path) -> None:
    """Raises BisenetError where a file cannot be written: before the work begins, not after it."""
    folder = file.parent
    if is_written_in_place(file):
        return
    if file.is_dir():
        raise BisenetError(f"expected a file to write, got the folder {file}")
    if not folder.is_dir():
        raise BisenetError(f"expected a folder at {folder} to write {file.name} to, found none; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BisenetError(f"{file.name} cannot be written to {folder}: permission denied; name another folder")


def require_free(
    folder: Path,
    results: Sequence[str] = (),
    *,
    force: bool = False,
    option: str = "-o",
    kind: str = "results",
    own: Sequence[str] = (),
) -> None:
    """Raises BisenetError where results would lie among other files, or replace those of an earlier run.

    Args:
        results: the names of the files that the command writes.
        force: those of an earlier run may be replaced.
        option: the command's, by which the folder is named.
        kind: what the files are, human-readable.
        own: names of files that may be there.
    """
    if any((folder / name).exists() for name in results):
        if not force:
            raise BisenetError(
                f"{folder} holds the {kind} of an earlier run; add --force to replace them, or name another folder "
                f"with {option}"
            )
    elif folder.exists() and (not folder.is_dir() or any(path.name not in own for path in folder.iterdir())):
        raise BisenetError(f"{folder} exists and holds something else; name a new folder with {option}")


def require_apart(folder: Path, inputs: Iterable[Path], *, option: str = "-o") -> None:
    """Raises BisenetError where results would lie in a folder of inputs, or inputs lie among the results.

    Args:
        folder: of the results.
        inputs: files and folders that are read.
        option: the command's, by which the folder is named.
    """
    folder = folder.resolve()
    for place in (path.resolve() for path in inputs):
        if place == folder or place in folder.parents or folder in place.parents:
            raise BisenetError(
                f"{folder}, where results go, and {place} must lie apart; name another folder with {option}"
            )


def prepare_outputs(folder: Optional[Path], json: Optional[Path], *, files: Sequence[str], force: bool) -> None:
    """Makes the folders for a report and for a JSON file, before time is spent on what cannot be written.

    Args:
        files: the names of the report's.
        force: those of an earlier run, and the JSON file, may be replaced.

    Raises BisenetError, OSError.
    """
    if json and json.is_file() and not is_written_in_place(json) and not force:
        raise BisenetError(f"{json} exists; add --force to replace it, or name another file with --json")
    if folder:
        require_free(folder, files, force=force)
        folder.mkdir(parents=True, exist_ok=True)
        require_writable(folder / files[0])
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        require_writable(json)


def require_replaceable(folder: Path) -> None:
    """Raises BisenetError for a folder that `put_in_place` cannot replace: a mount point, or the current folder."""
    if folder.exists() and (os.path.ismount(folder) or folder.samefile(os.curdir)):
        kind = "a mount point, such as a volume of a container" if os.path.ismount(folder) else "the current folder"
        raise BisenetError(f"{folder} is {kind}, and cannot be replaced as a whole; name a folder in it with -o")


@contextmanager
def unfinished_folder(target: Path) -> Iterator[Path]:
    """A place beside `target` where it is made, and from where it is renamed when it is whole; else it is removed.

    It has the target's name already, as a bag's file is called as its folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(**_beside(target, UNFINISHED)) as folder:
        yield Path(folder) / target.name


def flush(folder: Path) -> None:
    """Waits until all files of a folder are on the disk, so that a power cut after its renaming does not cost them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def put_in_place(folder: Path, target: Path) -> None:
    """Renames a whole folder to `target`, once it is on the disk; a folder that is there is removed at last."""
    flush(folder)
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
    """Removes what killed processes left beside a target: the folders of `unfinished_folder` and `put_in_place`.

    A user's folder with a similar name is left alone: one of ours holds nothing but the target.
    """
    ours = re.compile(re.escape(_shortened(target)) + BESIDE)
    for folder in target.parent.glob(f"{glob.escape(_shortened(target))}.*"):
        name = ours.fullmatch(folder.name)
        if not name or _is_at_work(int(name[1])):
            continue
        with suppress(OSError):  # such as of a file, or of another user's folder
            if set(os.listdir(folder)) <= {target.name}:
                shutil.rmtree(folder)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes left of all results in a folder, in which no other may be at work now."""
    remove_partial(folder)
    for path in folder.glob("*"):
        if path.is_dir() and re.fullmatch(f".*{BESIDE}", path.name, re.DOTALL):
            shutil.rmtree(path, ignore_errors=True)


def _set_aside(folder: Path) -> Path:
    """Renames a folder, in one step; returns the folder that it is in now."""
    aside = Path(tempfile.mkdtemp(**_beside(folder, REMOVED)))
    folder.rename(aside / folder.name)
    return aside


def _beside(target: Path, kind: str) -> Dict[str, Any]:
    """For the functions of `tempfile`: a folder NAME.PROCESS.RANDOM.KIND beside a target."""
    return {"prefix": f"{_shortened(target)}.{os.getpid()}.", "suffix": f".{kind}", "dir": target.parent}


def _shortened(target: Path) -> str:
    return target.name[:KEPT_CHARACTERS]


def _is_at_work(process: int) -> bool:
    """Whether another process of this machine has this number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
