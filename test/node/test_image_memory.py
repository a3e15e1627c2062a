# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The memory of one image is used again for the next."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, sys
if sys.argv[1:]:
    from bisenet_ros.node.image_memory import keep_image_memory
    keep_image_memory()
def handle(images):
    for _ in range(images):
        bytearray(6 * 2**20)[:] = b"x" * 6 * 2**20
handle(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
handle(20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
PAGES = 20 * 6 * 2**20 // 4096
"""Those of the images, each cleared once."""


def page_faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", PAGE_FAULTS, *arguments], capture_output=True, text=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_the_memory_of_an_image_is_not_returned_to_the_system() -> None:
    assert page_faults("keep") < PAGES / 10 < page_faults()
