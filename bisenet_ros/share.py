"""Where the installed files are: models, configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "bisenet_ros"


def share_file(relative: str) -> Path:
    """The path of a file such as "models/bisenetv2_camvid.onnx".

    Looks where ROS 2 installs it (ament index), where pip does (the environment's prefix), and beside a checkout.

    Raises:
        FileNotFoundError: it is in none of them.
    """
    prefixes = [*filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)), sys.prefix]
    folders = [Path(prefix) / "share" / PACKAGE for prefix in prefixes] + [Path(__file__).parents[1]]
    for folder in folders:
        if (folder / relative).is_file():
            return folder / relative
    raise FileNotFoundError(
        f"{relative} of {PACKAGE} is not in {', '.join(str(folder) for folder in folders)}; "
        "install the package with colcon or `pip install .`"
    )
