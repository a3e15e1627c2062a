# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What changed between the inputs of two runs, before the results of one are mixed with those of the other."""

import re
from typing import Any, List, Mapping

SHA256 = re.compile(r"[0-9a-f]{64}")


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> List[str]:
    """A phrase for each input that changed, such as "engine: TensorRT, now OpenVINO"; a missing one is "none".

    Args:
        before: inputs by name: text for people, or lists, of which it is only told that they changed.
        now: likewise.
    """
    pairs = {name: (before.get(name, "none"), now.get(name, "none")) for name in {**before, **now}}
    return [_describe(name, old, new) for name, (old, new) in pairs.items() if old != new]


def _describe(name: str, old: Any, new: Any) -> str:
    if isinstance(old, str) and isinstance(new, str):
        return f"{name}: {_shorten(old)}, now {_shorten(new)}"
    return f"{name} is not the same as before"


def _shorten(text: str) -> str:
    """A text for people: of a hash the first 12 digits."""
    return f"{text[:12]}..." if SHA256.fullmatch(text) else text
