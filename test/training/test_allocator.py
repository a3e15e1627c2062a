# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Memory that tensors free is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, sys, torch
if sys.argv[1:]:
    from bisenet_training.trainer.allocator import keep_freed_memory
    keep_freed_memory()
def fill(times):
    for _ in range(times):
        torch.ones(64 * 2**20, dtype=torch.uint8)
fill(20)  # blocks of one size lie with gaps between them that are too small at first
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill(4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 4 * 64 * 2**20 // 4096


def page_faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, *arguments], capture_output=True, text=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_not_returned_to_the_system() -> None:
    assert page_faults("keep") < PAGES / 10 < page_faults()
