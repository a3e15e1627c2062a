# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""GPU faults that only a new process cures: the exit code that says so, and what the new process learns of them."""

import os
from contextlib import suppress
from pathlib import Path
from typing import List

EXIT_CODE = os.EX_TEMPFAIL
"""75, "temporary failure" in sysexits.h: a new process may succeed. segment.launch.py starts one."""
FAULT_LOG = "BISENET_ROS_FAULT_LOG"
"""An environment variable: the file that a process adds such a fault to, for the next one to read."""
DELAY = 2.0
"""Seconds until the new process is started."""


def fault_log(folder: Path, namespace: str) -> Path:
    """The file of the faults of the node in a namespace; a launch may start several, which have one log folder."""
    return folder / "_".join(["segmentation_node_faults", *filter(None, namespace.split("/"))])


def record_fault(fault: str) -> None:
    """Adds the fault that ends this process to the file."""
    if FAULT_LOG in os.environ:
        with suppress(OSError), open(os.environ[FAULT_LOG], "a") as file:
            file.write(" ".join(fault.split()) + "\n")


def earlier_faults() -> List[str]:
    """The faults that ended the processes before this one, the last at the end."""
    try:
        return Path(os.environ[FAULT_LOG]).read_text().splitlines()
    except (KeyError, OSError):
        return []
