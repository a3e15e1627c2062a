# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The command `segmentation_node`; without ROS 2 it says what to install."""

import signal
import sys

from bisenet_ros.files.missing_package import ROS_PACKAGES, how_to_install


def main() -> int:
    """Runs the node; returns its exit code."""
    # Importing ROS takes a second; until it is done nothing else handles the signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        from bisenet_ros.node.run_node import run_node
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        print(_missing_package(error), file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return run_node()


def _missing_package(error: ModuleNotFoundError) -> str:
    package = (error.name or "").split(".")[0]
    advice = how_to_install(package, extra="ros" if package in ROS_PACKAGES else "")
    return f"segmentation_node needs the Python package {package!r}, which is not installed; {advice}"


if __name__ == "__main__":
    sys.exit(main())
