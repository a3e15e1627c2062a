# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A ROS domain for oneself, so that a measurement hears no other nodes."""

import random
import socket
from contextlib import contextmanager
from typing import Iterator

from bisenet_ros.node.driver.ros_client import DriverError

FREE_DOMAINS = range(52, 102)
"""Domains for `free_domain`: lower ones are left to users, the ports of higher ones overlap with ephemeral ports."""


@contextmanager
def free_domain() -> Iterator[int]:
    """A ROS domain that no other driver on this machine has meanwhile; DriverError if all of FREE_DOMAINS are in use.

    A domain is taken by the name of an abstract Unix socket, which Linux frees when the process ends. Domains in which
    a node of somebody else listens on the network are passed over.
    """
    for domain in random.SystemRandom().sample(FREE_DOMAINS, len(FREE_DOMAINS)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0bisenet_ros_domain_{domain}")
            except OSError:
                continue
            if _has_participant(domain):
                continue
            yield domain
            return
    raise DriverError(f"ROS domains {FREE_DOMAINS[0]} to {FREE_DOMAINS[-1]} are all in use; end some ROS processes")


def _has_participant(domain: int) -> bool:
    """Whether the port of a domain's first participant, by the DDS standard, is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7410 + 250 * domain))
        except OSError:
            return True
    return False
