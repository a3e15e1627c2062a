"""Fast DDS's shared-memory profile, without which most large images are lost."""

from __future__ import annotations

import ctypes
import os
import random
import socket
from typing import Dict

from bisenet_ros.files.package_share import package_file

# The first is Humble's and Jazzy's name, the second Kilted's.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# Chooses transports without a file; Fast DDS would ignore it beside our profile.
TRANSPORTS_VARIABLE = "FASTDDS_BUILTIN_TRANSPORTS"
# Keeps ROS on this machine. Later releases warn of the old name.
THIS_MACHINE = (
    {"ROS_LOCALHOST_ONLY": "1"}
    if os.environ.get("ROS_DISTRO") in ("foxy", "galactic", "humble")
    else {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def shared_memory_environment() -> Dict[str, str]:
    """The environment variables that choose the profile; none where the user has made a choice already."""
    if any(os.environ.get(name) for name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE)):
        return {}
    profile = str(package_file("config/fastdds_shared_memory.xml"))
    return dict.fromkeys(PROFILE_VARIABLES, profile)


def use_shared_memory() -> None:
    """Applies the profile to this process; call it before rclpy.init.

    The allocator also learns to keep the memory of an image instead of returning it to the system after each frame,
    which halves the time an image takes from process to process.
    """
    os.environ.update(shared_memory_environment())
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # not glibc
        return
    libc.mallopt(M_MMAP_THRESHOLD, 32 * 1024 * 1024)
    libc.mallopt(M_TRIM_THRESHOLD, 1024 * 1024 * 1024)


def free_domain() -> int:
    """A ROS domain that nobody on this machine is in."""
    domains = range(52, 102)  # above, their ports would meet others; those below are left to people
    for domain in random.SystemRandom().sample(domains, len(domains)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7410 + 250 * domain))  # the port of a domain's first participant, by the DDS standard
            except OSError:
                continue
        return domain
    raise RuntimeError(f"expected a free ROS domain of {domains.start} to {domains.stop - 1}, all are in use")
