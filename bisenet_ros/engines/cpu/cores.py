# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How many cores this process may use: by its affinity, and by the CPU quota of its container.

Runtimes look at the affinity alone. With a quota of 2 cores on a machine of 16 (`docker run --cpus 2`, CPUQuota= of
systemd) their 16 threads spend it in an eighth of the time, and then all of them are throttled.
"""

import math
import os
from pathlib import Path
from typing import Iterator, Optional, Tuple

MEMBERSHIP = Path("/proc/self/cgroup")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
PERIOD_FILES = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
"""Of version 1 of control groups: microseconds of CPU time (-1: no limit), and the time in which they may be used."""
MAX_FILE = "cpu.max"
"""Of version 2: both of them; "max" in place of the first is no limit."""


def usable_cores() -> int:
    """How many cores this process may use at a time, at least 1; a part of a core that a quota gives counts as one."""
    quota = min(_quotas(), default=math.inf)
    allowed = len(os.sched_getaffinity(0))
    return allowed if quota >= allowed else math.ceil(quota)


def _quotas() -> Iterator[float]:
    """The quotas, in cores, of the process's control groups and of those around them."""
    for folder, inner in _groups():
        for group in (folder / inner, *(folder / inner).parents):
            quota = _quota(group)
            if quota:
                yield quota
            if group == folder:
                break


def _groups() -> Iterator[Tuple[Path, str]]:
    """Where groups for CPU time begin, and the path from there to that of this process.

    In a container the path may be that on the host, which is not there; the container's own group is then the first.
    """
    for line in (_read(MEMBERSHIP) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield CONTROL_GROUPS, path.strip("/")
        elif "cpu" in controllers.split(","):  # whose folder may have them in another order, beside a link "cpu"
            for name in dict.fromkeys((controllers, "cpu")):
                yield CONTROL_GROUPS / name, path.strip("/")


def _quota(group: Path) -> Optional[float]:
    """The CPU quota of a control group, in cores; None where there is no limit, or no such group."""
    words = (_read(group / MAX_FILE) or "").split() or [_read(group / name) or "" for name in PERIOD_FILES]
    try:
        microseconds, period = map(int, words)
    except ValueError:
        return None
    return microseconds / period if microseconds > 0 and period > 0 else None


def _read(path: Path) -> Optional[str]:
    try:
        return path.read_text()
    except OSError:
        return None
