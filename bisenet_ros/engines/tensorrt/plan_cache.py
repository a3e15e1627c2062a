"""TensorRT plans on disk: built once for a key, checked before use, safe among several processes.

A file is a line of JSON, the header, and then the plan. The header has the key and the plan's SHA-256, which show
damage and mistakes. They are no protection: TensorRT runs what a plan contains, so that a cache folder must be trusted
like a folder of programs. Ours can be read by its user only, and a file of another user is not loaded.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, Optional, Tuple

from bisenet_ros.engines.heartbeat import heartbeat
from bisenet_ros.files.atomic_write import write_bytes

FORMAT = "bisenet_ros.plan.1"
LONGEST_HEADER = 1 << 16
"""Bytes."""
TIMING_CACHE_KEY = ("gpu", "compute_capability", "flavor", "version")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlanKey:
    """Everything that a plan depends on.

    Attributes:
        model_sha256: by `model_sha256`.
        gpu, compute_capability: the GPU's name, and such as (8, 7).
        flavor, version: TensorRT's.
        precision: "fp32", "fp16" or "int8".
        frame_size: (height, width).
        max_batch: the most frames in a batch.
        tail: where the plan ends: MASK, LOGITS or NETWORK.
        code_sha256: of our own code that makes plans, so that an update does not run yesterday's.
    """

    model_sha256: str
    gpu: str
    compute_capability: Tuple[int, int]
    flavor: str
    version: str
    precision: str
    frame_size: Tuple[int, int]
    max_batch: int
    tail: str
    code_sha256: str = ""

    def to_dict(self) -> Dict[str, Any]:
        """As JSON has it: lists for tuples."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


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

    def path(self, key: PlanKey) -> Path:
        """Where the plan of a key is kept, whether or not it is there."""
        return self.folder / f"{_digest(key.to_dict())}.plan"

    def lookup(self, key: PlanKey) -> Optional[Path]:
        """Where the plan of a key is, if it is there and sound."""
        path = self.path(key)
        try:
            _read(path, key.to_dict())
        except (_Unusable, OSError):
            return None
        return path

    def get(self, key: PlanKey, build: Callable[[], bytes]) -> bytes:
        """The plan of a key; where there is none that is sound, `build` is called and its plan is kept.

        If several processes ask at once, one builds and the others wait for it.
        """
        path, header = self.path(key), key.to_dict()
        try:
            return _read(path, header)
        except (_Unusable, OSError):
            pass  # the reason is said below, by the one who builds
        with self._lock(path) as writable:
            try:
                return _read(path, header)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except (_Unusable, OSError) as error:
                logger.warning("the plan %s is built anew: %s", path, error)
            plan = build()
            if writable:
                self._write(path, header, plan)
        return plan

    def replace(self, key: PlanKey, build: Callable[[], bytes]) -> bytes:
        """A newly built plan, which is kept instead of any before."""
        path = self.path(key)
        with self._lock(path) as writable:
            plan = build()
            if writable:
                self._write(path, key.to_dict(), plan)
        return plan

    def timing_cache(self, key: PlanKey) -> bytes:
        """TensorRT's timing cache of earlier builds for the key's GPU; empty if there is none."""
        path, header = self._timing_cache(key)
        try:
            return _read(path, header)
        except (FileNotFoundError, NotADirectoryError):
            return b""
        except (_Unusable, OSError) as error:
            logger.warning("the timing cache %s is not used: %s", path, error)
            return b""

    def keep_timing_cache(self, key: PlanKey, content: bytes) -> None:
        """Keeps the timing cache of a build, next to the plans."""
        self._write(*self._timing_cache(key), content)

    def _timing_cache(self, key: PlanKey) -> Tuple[Path, Dict[str, Any]]:
        values = key.to_dict()
        header = {name: values[name] for name in TIMING_CACHE_KEY}
        return self.folder / f"{_digest(header)}.timing", header

    @contextmanager
    def _lock(self, path: Path) -> Iterator[bool]:
        """Lets one process at a time at a plan; whether it can be kept."""
        try:
            file = self._locked_file(path.with_suffix(".lock"))
        except OSError as error:
            logger.warning(
                "plans cannot be kept in %s, so this one is built again at the next start: %s", self.folder, error
            )
            yield False
            return
        with file:
            yield True

    def _locked_file(self, path: Path) -> IO[str]:
        """An open file that is locked until it is closed, if need be by the end of this process."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open(path, "w")
        with heartbeat(lambda seconds: logger.info("waiting %.0f s for another process to build the plan", seconds)):
            fcntl.flock(file, fcntl.LOCK_EX)
        return file

    def _write(self, path: Path, key: Dict[str, Any], content: bytes) -> None:
        header = {"format": FORMAT, "key": key, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        try:
            write_bytes(path, json.dumps(header).encode() + b"\n" + content, private=True, durable=True)
        except OSError as error:
            logger.warning("%s cannot be kept: %s", path, error)


def _read(path: Path, key: Dict[str, Any]) -> bytes:
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


def _digest(values: Dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]
