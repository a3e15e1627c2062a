# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT plans on disk: built once for a key, checked before use, safe among several processes.

A file is a line of JSON, the header, and then the plan. The header has the key and the plan's SHA-256, which show
damage and mistakes. They are no protection: TensorRT runs what a plan contains, so that a cache folder must be trusted
like a folder of programs. Ours can be read by its user only, and a file of another user is not loaded.
"""

import fcntl
import hashlib
import json
import logging
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

from bisenet_ros.engines.tensorrt.heartbeat import heartbeat
from bisenet_ros.files.atomic_write import write_bytes

FORMAT = "bisenet_ros.plan.1"
LONGEST_HEADER = 1 << 16
"""Bytes."""
TIMING_CACHE_KEY = ("gpu", "compute_capability", "flavor", "version")
"""The parts of a plan's key that TensorRT's measurements depend on."""
Key = Dict[str, Any]
"""Everything that a plan depends on, as JSON has it; see `PlanStore.key`."""

logger = logging.getLogger(__name__)


class CachedPlan(NamedTuple):
    """A plan, whether it was built just now, and whether the cache has it for the next time."""

    content: bytes
    was_built: bool
    is_kept: bool


class _Unusable(Exception):
    """Why a file of the cache is not used."""


def default_folder() -> Path:
    """~/.cache/bisenet_ros, or $XDG_CACHE_HOME/bisenet_ros."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "bisenet_ros"


class PlanCache:
    """A folder of plans. If something is wrong with it, a plan is built all the same, and a warning is logged."""

    def __init__(self, folder: Optional[Path] = None) -> None:
        self.folder = default_folder() if folder is None else folder

    def path(self, key: Key) -> Path:
        """Where the plan of a key is kept, whether or not it is there."""
        return self.folder / f"{_digest(key)}.plan"

    def lookup(self, key: Key) -> Optional[Path]:
        """Where the plan of a key is, if it is there and sound."""
        path = self.path(key)
        try:
            _read(path, key)
        except (_Unusable, OSError):
            return None
        return path

    def get(self, key: Key, build: Callable[[], bytes], *, rebuild: bool = False) -> CachedPlan:
        """The plan of a key; where there is none that is sound, or with `rebuild`, `build` is called and its plan kept.

        If several processes ask at once, one builds and the others wait for it.
        """
        path = self.path(key)
        with suppress(_Unusable, OSError):  # the reason is said below, by the one who builds
            if not rebuild:
                return CachedPlan(_read(path, key), was_built=False, is_kept=True)
        with self._lock(path) as writable:
            found = None if rebuild else _find(path, key)
            if found is not None:
                return CachedPlan(found, was_built=False, is_kept=True)
            built = build()
            return CachedPlan(built, was_built=True, is_kept=writable and self._write(path, key, built))

    def timing_cache(self, key: Key) -> bytes:
        """TensorRT's timing cache of earlier builds for the key's GPU; empty if there is none."""
        return _find(*self._timing_cache(key)) or b""

    def keep_timing_cache(self, key: Key, content: bytes) -> None:
        """Keeps the timing cache of a build, next to the plans."""
        self._write(*self._timing_cache(key), content)

    def kernels(self, key: Key) -> bytes:
        """What TensorRT for RTX compiled when the plan of a key first ran; empty if there is nothing."""
        return _find(self.path(key).with_suffix(".kernels"), key) or b""

    def keep_kernels(self, key: Key, content: bytes) -> None:
        """Keeps the compiled kernels of a key next to its plan."""
        self._write(self.path(key).with_suffix(".kernels"), key, content)

    def _timing_cache(self, key: Key) -> Tuple[Path, Key]:
        part = {name: key[name] for name in TIMING_CACHE_KEY}
        return self.folder / f"{_digest(part)}.timing", part

    @contextmanager
    def _lock(self, path: Path) -> Iterator[bool]:
        """Lets one process at a time at a plan, if need be until its end; whether the plan can be kept."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = open(path.with_suffix(".lock"), "w")
            with heartbeat(lambda s: logger.info("waiting %.0f s for another process to build the plan", s)):
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            logger.warning(
                "plans cannot be kept in %s, so this one is built again at the next start: %s", self.folder, error
            )
            yield False
            return
        with file:
            yield True

    def _write(self, path: Path, key: Key, content: bytes) -> bool:
        """Whether it could be written; if not, a warning is logged."""
        header = {"format": FORMAT, "key": key, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            write_bytes(path, json.dumps(header).encode() + b"\n" + content, private=True, durable=True)
        except OSError as error:
            logger.warning("%s cannot be kept: %s", path, error)
            return False
        return True


def _find(path: Path, key: Key) -> Optional[bytes]:
    """The content of a file of the cache; None, with a warning, if it cannot be used."""
    try:
        return _read(path, key)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (_Unusable, OSError) as error:
        logger.warning("%s is built again: %s", path, error)
        return None


def _read(path: Path, key: Key) -> bytes:
    """The content of a file of the cache.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be read.
        _Unusable: it is damaged, belongs to somebody else or is for another key.
    """
    with open(path, "rb") as file:
        owner = os.fstat(file.fileno()).st_uid
        if owner not in (0, os.geteuid()):
            raise _Unusable(f"it belongs to another user (id {owner}), and would be run")
        line = file.readline(LONGEST_HEADER)
        content = file.read()
    try:
        header = json.loads(line)
        found, size, sha256 = header["key"], header["bytes"], header["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Unusable("it does not begin with the header of a plan") from None
    if header.get("format") != FORMAT or found != key:
        raise _Unusable("it is the plan of another key")
    if len(content) != size:
        raise _Unusable(f"it is truncated: {len(content)} bytes of {size}")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _Unusable("it is corrupt: its SHA-256 is not the one in its header")
    return content


def _digest(key: Key) -> str:
    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
