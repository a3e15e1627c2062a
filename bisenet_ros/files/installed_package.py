# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which Python packages are installed; nothing of them is imported."""

import importlib.util
from importlib import metadata
from typing import Optional


def is_importable(module: str) -> bool:
    """Whether a module, such as tensorrt or openvino, is there to be imported."""
    return importlib.util.find_spec(module) is not None


def installed_version(package: str) -> Optional[str]:
    """The version of a package by its name for pip, such as opencv-python; None where it has no metadata."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
