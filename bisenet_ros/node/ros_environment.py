# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 that a node started here would run on; nothing of it is imported."""

import os
from typing import Dict

from bisenet_ros.files.installed_package import installed_version
from bisenet_ros.node.fastdds import (
    LOCALHOST_VARIABLE,
    MIDDLEWARE_VARIABLE,
    PROFILE_VARIABLES,
    TRANSPORTS_VARIABLE,
    other_middleware,
    shared_memory_environment,
)

NO_RCLPY = "not found; source your ROS 2, such as `source /opt/ros/jazzy/setup.bash`"


def describe_ros() -> Dict[str, str]:
    """Facts about the ROS 2 of this shell, for `bisenet doctor`: names and human-readable values."""
    return {
        "ROS distribution": os.environ.get("ROS_DISTRO", "not set up in this shell (ROS_DISTRO is not set)"),
        "rclpy": installed_version("rclpy") or NO_RCLPY,
        "middleware": os.environ.get(MIDDLEWARE_VARIABLE, "the distribution's default"),
        "ROS domain": os.environ.get("ROS_DOMAIN_ID", "0"),
        "Fast DDS profile": _describe_profile(),
    }


def _describe_profile() -> str:
    if other_middleware():
        return "none, as the middleware is another one"
    for name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE):
        if os.environ.get(name):
            return f"your own, {name}={os.environ[name]}"
    paths = list(shared_memory_environment().values())
    return f"{paths[0]}, which the node sets itself" if paths else f"none, as it would undo {LOCALHOST_VARIABLE}=1"
