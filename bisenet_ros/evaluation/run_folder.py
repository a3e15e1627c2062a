# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: results appear when all is done, and a run that was stopped goes on with what is left."""

import json
import re
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, TextIO

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.atomic_write import PARTIAL, write_bytes
from bisenet_ros.files.changed_inputs import describe_changes
from bisenet_ros.files.folder_lock import LOCK, lock_folder
from bisenet_ros.files.result_folder import (
    put_in_place,
    remove,
    remove_left_over,
    remove_unfinished,
    require_free,
    require_replaceable,
)

RUN = "run.json"
CONTENT = "the content of bag {}"
"""The name, among inputs, of the fingerprint of a bag's files."""
Inputs = Dict[str, Any]
"""All that the results of a run depend on, by name: what was asked for as text, and lists, as JSON has them, that tell
whether a file is still the same."""


def fingerprint(files: Iterable[Path]) -> List[List[Any]]:
    """What tells, in a later run, whether files are still the same, for `Inputs`."""
    return [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return _read(folder / RUN) is not None


def read_inputs(folder: Path) -> Inputs:
    """What a finished run's results depend on; nothing where the folder does not say."""
    found = _read(folder / RUN)
    return found["asked"] if found else {}


class RunFolder:
    """A run's output folder, which appears when the run is done; until then all lies beside it in OUTPUT.partial.

    Attributes:
        bags: within OUTPUT.partial, a folder of results for each bag that is done.
        ground_truth: within it, ground truth made of the masks in a bag, or by merging classes.
        result: within it, what becomes the output.
    """

    def __init__(self, output: Path) -> None:
        self.output = output.resolve()
        self.partial = self.output.parent / f"{self.output.name}.partial"
        self.bags, self.result = self.partial / "bags", self.partial / "result"
        self.ground_truth = self.partial / "ground_truth"
        self._lock: Optional[TextIO] = None

    def begin(self, inputs: Inputs, *, restart: bool) -> Optional[int]:
        """Prepares the folders; the exit code of the run where it was finished before.

        With `restart`, results of an earlier run are deleted. An interrupted run with the same inputs that was itself
        started with `restart` is resumed.

        Raises BisenetError where the folder holds something else, also beside results that would be thrown away, or
        another run's results; or that run is still at work.
        """
        for folder in (self.output, self.partial):
            remove_left_over(folder)
        finished, begun = _read(self.output / RUN), _read(self.partial / RUN)
        if finished and "exit_code" not in finished:  # OUTPUT is the OUTPUT.partial of another run
            finished = None
        started_with_restart = bool(begun and begun.get("restart"))
        resumes = self._is_resumable(begun, inputs) and (started_with_restart or not restart)
        if finished and not restart and not resumes:
            _require_same(finished["asked"], inputs, folder=self.output)
            self._tidy_up()
            return finished["exit_code"]
        self._require_replaceable(finished)
        if begun is None:
            self._require_empty()
        self._lock = lock_folder(self.partial)
        if begun and (not self.result.exists() or (restart and not resumes)):
            self.discard()
            self._lock = lock_folder(self.partial)
        elif begun:
            _require_same(begun["asked"], inputs, folder=self.partial)
        _write(self.partial / RUN, {"asked": inputs, "restart": restart or started_with_restart})
        self.result.mkdir(exist_ok=True)
        self._remove_unfinished()
        return None

    def finish(self, inputs: Inputs, *, exit_code: int) -> None:
        """Puts the results in their place, and throws the rest away."""
        record = {"asked": inputs, "exit_code": exit_code, "made": _files_in(self.result)}
        _write(self.result / RUN, record)
        put_in_place(self.result, self.output)
        self.discard()

    def give_up(self) -> str:
        """Throws away what there is so far, unless bags are done; as text, where those are."""
        self._remove_unfinished()
        if any(self.bags.glob("*")):
            return f"; the masks of the bags that were done before are kept in {self.partial}"
        self.discard()
        return ""

    def discard(self) -> None:
        """Throws away what there is so far."""
        remove(self.partial)
        self.close()

    def close(self) -> None:
        """Lets another process go on with the run; harmless when called again."""
        if self._lock:
            self._lock.close()

    def _tidy_up(self) -> None:
        """Throws away what a run left that was killed when its results were in their place already."""
        if _read(self.partial / RUN) and not self.result.exists():
            self._lock = lock_folder(self.partial)
            self.discard()

    def _is_resumable(self, begun: Optional[Dict[str, Any]], inputs: Inputs) -> bool:
        """Whether OUTPUT.partial is of an interrupted run with the same inputs.

        Without a folder of results it is not: they are in their place already.
        """
        return begun is not None and self.result.exists() and not describe_changes(begun["asked"], inputs)

    def _require_replaceable(self, finished: Optional[Dict[str, Any]]) -> None:
        """Raises BisenetError where the output cannot be made again, or holds files that no run made."""
        if finished is None:
            require_free(self.output)
        elif "made" in finished:  # an earlier version did not write it
            others = sorted({*_files_in(self.output)} - {*finished["made"], RUN})
            if others:
                raise BisenetError(
                    f"{self.output} would be made again, and also holds {others[0]}, which is of no run; move it away"
                )
        require_replaceable(self.output)

    def _require_empty(self) -> None:
        """Raises BisenetError where OUTPUT.partial holds more than a run that was killed at its very beginning left."""
        if self.partial.exists() and not all(map(_is_of_begin, self.partial.glob("*"))):
            raise BisenetError(f"{self.partial} exists and holds something else; name another folder with -o")

    def _remove_unfinished(self) -> None:
        """Removes the files and folders that a process was making when it was killed."""
        for folder in (self.bags, self.ground_truth, self.result):
            remove_unfinished(folder)


def _is_of_begin(path: Path) -> bool:
    """Whether a file in OUTPUT.partial is what `begin` makes first: the lock, and the record until it is whole."""
    if path.name == LOCK:
        return path.stat().st_size == 0
    return re.fullmatch(rf"{re.escape(RUN)}\.[0-9a-f]{{32}}{re.escape(PARTIAL)}", path.name) is not None


def _files_in(folder: Path) -> List[str]:
    """The files in a folder and the folders below it, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def _require_same(before: Inputs, now: Inputs, *, folder: Path) -> None:
    changed = describe_changes(before, now)
    if changed:
        raise BisenetError(
            f"{folder} is of a run with other inputs ({'; '.join(changed)}); name another folder with -o, or add "
            "--restart to throw it away"
        )


def _write(path: Path, record: Dict[str, Any]) -> None:
    write_bytes(path, json.dumps(record, indent=1).encode(), durable=True)


def _read(path: Path) -> Optional[Dict[str, Any]]:
    """What a run wrote there; None where it is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("asked"), dict) else None
