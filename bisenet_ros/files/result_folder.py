# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder that a command writes its results to: a new one, or its own of an earlier run."""

from pathlib import Path
from typing import Sequence

from bisenet_ros.errors import BisenetError


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
