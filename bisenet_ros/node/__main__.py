"""`segmentation_node`, or a word on what is missing where there is no ROS 2."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the node; returns its exit code."""
    try:
        from bisenet_ros.node.segmentation_node import main as run
    except ModuleNotFoundError as error:
        print(
            f"segmentation_node needs the Python package {error.name!r}, which is not installed; source your ROS 2 "
            "(`source /opt/ros/jazzy/setup.bash`), or install ROS 2's wheels with `pip install '.[ros]'`",
            file=sys.stderr,
        )
        return 1
    return run()


if __name__ == "__main__":
    sys.exit(main())
