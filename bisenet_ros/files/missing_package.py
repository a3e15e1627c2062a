# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How to install a Python package that is missing."""

import os

ROS_PACKAGES = (
    "rclpy",
    "rcl_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "nav_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
)
PIP_NAMES = {"backports": "backports.zstd", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}
"""The names of packages for pip, by the modules that are called otherwise."""
WITH_NUMPY_1 = ("galactic", "humble", "iron", "jazzy")
"""The ROS 2 distributions whose apt packages are built with NumPy 1, and work with no other."""


def how_to_install(module: str, *, extra: str = "") -> str:
    """What to do where a module cannot be imported: the end of an error message.

    Args:
        extra: of setup.py, with all that a command needs; empty: the package's own requirements.
    """
    package = module.split(".")[0]
    checkout = f"`pip install '.[{extra}]'` in the checkout" if extra else "`pip install .` in the checkout"
    distribution = os.environ.get("ROS_DISTRO")
    if package in ROS_PACKAGES:
        return f"source your ROS 2 (`source /opt/ros/jazzy/setup.bash`), or install its wheels with {checkout}"
    if not distribution:
        return f"install what it needs with {checkout}"
    limit = " 'numpy<2'" if distribution in WITH_NUMPY_1 else ""  # an extra may bring NumPy 2
    return f"install it with `pip install {PIP_NAMES.get(package, package)}{limit}`"
