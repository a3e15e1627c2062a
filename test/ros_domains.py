# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS domains for the tests, so that no other ROS on the network is heard, nor tests in the process beside this one."""

from __future__ import annotations

import random
import socket
from typing import List

# The package itself takes those from 52 on; see `free_domain` of the driver.
_domains = random.SystemRandom().sample(range(1, 52), 51)
_claims: List[socket.socket] = []


def new_domain() -> int:
    """A ROS_DOMAIN_ID that no other test on this machine has, until the process ends."""
    while True:
        domain, claim = _domains.pop(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0bisenet_ros_test_domain_{domain}")  # an abstract name, which Linux frees
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return domain
