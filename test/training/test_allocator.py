# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Memory that tensors free is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, torch
from bisenet_training.trainer.allocator import keep_freed_memory
def fill(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(40 * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
returned = fill(4)
keep_freed_memory()
fill(20)  # blocks of one size lie with gaps between them that are too small at first
print(returned, fill(4))
"""
PAGES = 4 * 40 * 2**20 // 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_not_returned_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, timeout=60)
    returned, kept = map(int, done.stdout.split())
    assert kept < PAGES / 10 < PAGES / 2 < returned
