# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Fast DDS's shared-memory profile, without which most large images are lost."""

import ctypes
import os
from typing import Dict

from bisenet_ros.files.package_share import package_file

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Environment variables that name a profile file: of Humble and Jazzy, and of Kilted."""
TRANSPORTS_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
"""Environment variable that chooses transports without a file; Fast DDS ignores it where a profile is set."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt."""


def shared_memory_environment() -> Dict[str, str]:
    """The environment variables that set the profile; none if the user has already set a profile or transports."""
    if any(os.environ.get(name) for name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE)):
        return {}
    profile = str(package_file("config/fastdds_shared_memory.xml"))
    return dict.fromkeys(PROFILE_VARIABLES, profile)


def use_shared_memory() -> None:
    """Applies the profile to this process; to be called before rclpy.init.

    It also makes the allocator keep an image's memory instead of returning it to the system after each frame, which
    halves the time that an image takes from process to process.
    """
    os.environ.update(shared_memory_environment())
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # not glibc
        return
    libc.mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024)
    libc.mallopt(M_TRIM_THRESHOLD, 1024 * 1024 * 1024)
