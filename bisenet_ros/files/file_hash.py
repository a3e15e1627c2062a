"""The SHA-256 by which a file is known again."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Of a file's content, as 64 hexadecimal digits; raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
