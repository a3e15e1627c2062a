# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What this process may read; `Path.glob` takes a folder that may not be listed as an empty one."""

import os
from pathlib import Path


def is_readable(path: Path) -> bool:
    """Whether this process may read a file, or list a folder and open what is in it."""
    return os.access(path, os.R_OK | os.X_OK if path.is_dir() else os.R_OK)


def require_readable(*paths: Path) -> None:
    """Raises PermissionError for the first of the paths that is there and may not be read."""
    for path in paths:
        if path.exists() and not is_readable(path):
            raise PermissionError(f"{path} may not be read: permission denied; change its permissions or owner")
