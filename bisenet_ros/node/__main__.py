"""`segmentation_node`, or a word on what is missing where there is no ROS 2."""

from __future__ import annotations

import signal
import sys

ROS_PACKAGES = ("rclpy", "rcl_interfaces", "diagnostic_msgs", "sensor_msgs", "std_msgs")


def main() -> int:
    """Runs the node; returns its exit code."""
    # Importing ROS takes a second, in which nobody else answers a signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        from bisenet_ros.node.segmentation_node import main as run
    except KeyboardInterrupt:
        return 0
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        cure = (
            "source your ROS 2 (`source /opt/ros/jazzy/setup.bash`), or install its wheels in the checkout: "
            "`pip install '.[ros]'`"
            if package in ROS_PACKAGES
            else "install it with `pip install .` in the checkout, or alone as README says"
        )
        print(
            f"segmentation_node needs the Python package {package!r}, which is not installed; {cure}", file=sys.stderr
        )
        return 1
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return run()


if __name__ == "__main__":
    sys.exit(main())
