# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is in a file: its SHA-256, and its kind by the first bytes."""

import hashlib
from pathlib import Path
from typing import Tuple

ROS_1 = "a bag of ROS 1"
_MAGIC: Tuple[Tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "a RIFF file, such as a WebP image or an AVI video"),
    (b"PK\x03\x04", "a ZIP archive, as checkpoints of PyTorch are"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with Zstandard"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x89MCAP0\r\n", "an MCAP file"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"#ROSBAG", ROS_1),
    (b"%PDF", "a PDF"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"<", "an HTML or XML page"),
)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, as 64 hexadecimal digits; raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def first_bytes(file: Path) -> bytes:
    """The first 32 bytes of a file, for `describe_bytes`."""
    with file.open("rb") as opened:
        return opened.read(32)


def describe_bytes(start: bytes) -> str:
    """What a file is by its first 32 bytes, such as "a PNG image" or "a file that begins with 00112233"."""
    if not start:
        return "an empty file"
    found = next((kind for magic, kind in _MAGIC if start.startswith(magic)), None)
    return found or f"a file that begins with {start[:8].hex()}"
