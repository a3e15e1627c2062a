"""What the tests of training share. They are collected only where the extra "training" is installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("lightning") else ["test_*.py"]
