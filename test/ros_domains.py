# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS domains for the tests, so that no other ROS on the network is heard, nor tests in the process beside this one."""

from __future__ import annotations

import os
import random

PER_WORKER = 25
# The package itself takes those from 52 on; see `free_domain` of the driver.
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 2
_domains = random.SystemRandom().sample(range(1 + PER_WORKER * _worker, 1 + PER_WORKER * (_worker + 1)), PER_WORKER)


def new_domain() -> int:
    """A ROS_DOMAIN_ID that no other test of this run has."""
    return _domains.pop()
