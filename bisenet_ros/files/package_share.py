# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the installed files are: the package's share folder, with models and configuration."""

import os
from pathlib import Path
from typing import Iterator

PACKAGE = "bisenet_ros"
SHIPPED_MODEL = "models/bisenetv2_camvid.onnx"


def package_file(relative: str) -> Path:
    """The path of a file such as "models/bisenetv2_camvid.onnx".

    Raises:
        FileNotFoundError: it is in none of the places where an installation puts it.
    """
    folders = list(_share_folders())
    for folder in folders:
        if (folder / relative).is_file():
            return folder / relative
    raise FileNotFoundError(
        f"{relative} of {PACKAGE} is not in {', '.join(str(folder) for folder in folders)}; "
        "install the package with colcon or `pip install .`"
    )


def _share_folders() -> Iterator[Path]:
    """First the folder that belongs to this code, so that two installations do not mix; then those that ROS 2 has."""
    parents = Path(__file__).absolute().parents
    yield parents[2]  # a checkout, and colcon's build folder with --symlink-install
    if len(parents) > 5:  # PREFIX/lib/python3.x/site-packages/bisenet_ros/files/, from colcon or any pip install
        yield parents[5] / "share" / PACKAGE
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        yield Path(prefix) / "share" / PACKAGE
