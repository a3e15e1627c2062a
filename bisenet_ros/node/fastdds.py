# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's shared-memory profile, without which most large images are lost."""

import os
from typing import Dict

from bisenet_ros.files.installed_package import installed_version
from bisenet_ros.files.package_share import package_file

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Environment variables that name a profile file: of Fast DDS 2 (Humble, Jazzy), and of 3 (Kilted, Lyrical)."""
FIRST_RCLPY_WITH_FASTDDS_3 = 9
"""Kilted's major version of rclpy."""
FIRST_RCLPY_WITH_DISCOVERY_RANGE = 4
"""Iron's major version of rclpy."""
LOCALHOST_VARIABLE = "ROS_LOCALHOST_ONLY"
"""Before Iron, "1" adds a transport for this machine alone, and leaves a profile's, which are for the network."""
MIDDLEWARE_VARIABLE = "RMW_IMPLEMENTATION"
TRANSPORTS_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
"""Environment variable that chooses transports without a file; Fast DDS ignores it where a profile is set."""


def profile_variable() -> str:
    """The one of PROFILE_VARIABLES that this ROS distribution's Fast DDS wants; version 3 warns of the older one."""
    for_fastdds_2, for_fastdds_3 = PROFILE_VARIABLES
    return for_fastdds_3 if _rclpy_version() >= FIRST_RCLPY_WITH_FASTDDS_3 else for_fastdds_2


def other_middleware() -> str:
    """The middleware that the user has chosen instead of Fast DDS, such as rmw_zenoh_cpp; else empty."""
    chosen = os.environ.get(MIDDLEWARE_VARIABLE, "")
    return "" if chosen.startswith("rmw_fastrtps") else chosen


def shared_memory_environment() -> Dict[str, str]:
    """The environment variable that sets the profile.

    Empty where the user has already set a profile or transports, or has chosen another middleware, and where the
    profile would undo ROS_LOCALHOST_ONLY.
    """
    is_set = any(os.environ.get(name) for name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE))
    if is_set or other_middleware() or _would_leave_this_machine():
        return {}
    return {profile_variable(): str(package_file("config/fastdds_shared_memory.xml"))}


def _would_leave_this_machine() -> bool:
    is_old = 0 < _rclpy_version() < FIRST_RCLPY_WITH_DISCOVERY_RANGE
    return is_old and os.environ.get(LOCALHOST_VARIABLE) == "1"


def _rclpy_version() -> int:
    """The major version; 0 for an rclpy that is installed without its metadata."""
    return int((installed_version("rclpy") or "0").split(".")[0])


def use_shared_memory() -> None:
    """Applies the profile to this process; to be called before rclpy.init."""
    os.environ.update(shared_memory_environment())
