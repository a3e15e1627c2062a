# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Functions that numba compiles, whose machine code is kept on disk where the disk allows it."""

import logging
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Callable

from numba import njit

logger = logging.getLogger(__name__)


class CompiledFunction:
    """A function that numba compiles when it is first called, without Python's global lock.

    The machine code is kept for later processes, beside the source or in the user's cache. On a read-only or full disk
    each process compiles it again, which takes some seconds. So does the next one where a power cut has damaged what
    was kept; numba alone would raise an error.
    """

    def __init__(self, function: Callable[..., None], **options: Any) -> None:
        """`options` are those of numba.njit."""
        self._compile = partial(njit(nogil=True, **options), function)
        try:
            self._run = njit(nogil=True, cache=True, **options)(function)
        except RuntimeError as error:  # numba has found no folder that it may write to
            self._run_without_cache(error)

    def __call__(self, *arguments: Any) -> None:
        try:
            self._run(*arguments)
        except OSError as error:  # of numba's files; the functions themselves read and write none
            self._run_without_cache(error)
            self._run(*arguments)
        except Exception as error:  # of a damaged file; the functions themselves raise none
            if not self._run.stats.cache_path:
                raise
            self._remove_kept(error)
            self._run = self._compile()
            self._run(*arguments)

    def _remove_kept(self, error: Exception) -> None:
        """Removes numba's indices of the files that it keeps, so that the next process makes them again."""
        folder = Path(self._run.stats.cache_path)
        logger.warning("the compiled code in %s is damaged (%s) and made again", folder, error)
        for index in folder.glob("*.nbi"):
            with suppress(OSError):
                index.unlink()

    def _run_without_cache(self, error: Exception) -> None:
        logger.warning(
            "compiled code cannot be kept on disk, so that every start compiles it again: %s; set NUMBA_CACHE_DIR to a "
            "folder that can be written to",
            error,
        )
        self._run = self._compile()


def compiled(**options: Any) -> Callable[[Callable[..., None]], CompiledFunction]:
    """Makes a CompiledFunction of the function below; `options` are those of numba.njit."""
    return partial(CompiledFunction, **options)
