"""Settings of Fast DDS: the shared-memory profile, without which most large images are lost, and free domains."""

import ctypes
import os
import random
import socket
from typing import Dict

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.package_share import package_file

PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Environment variables that name a profile file: of Humble and Jazzy, and of Kilted."""
TRANSPORTS_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
"""Environment variable that chooses transports without a file; Fast DDS ignores it where a profile is set."""
LOCALHOST_ONLY = (
    {"ROS_LOCALHOST_ONLY": "1"}
    if os.environ.get("ROS_DISTRO") in ("foxy", "galactic", "humble")
    else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
)
"""Environment variable that keeps ROS on this machine; releases after Humble warn of the old name."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt."""
FREE_DOMAINS = range(52, 102)
"""Domains for `free_domain`: lower ones are left to users, the ports of higher ones overlap with ephemeral ports."""


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


def free_domain() -> int:
    """A ROS domain that no process on this machine uses.

    Raises:
        BisenetError: all of FREE_DOMAINS are in use.
    """
    for domain in random.SystemRandom().sample(FREE_DOMAINS, len(FREE_DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7410 + 250 * domain))  # the port of a domain's first participant, by the DDS standard
            except OSError:
                continue
        return domain
    raise BisenetError(
        f"expected a free ROS domain from {FREE_DOMAINS.start} to {FREE_DOMAINS.stop - 1}, all are in use; "
        "end some ROS processes"
    )
