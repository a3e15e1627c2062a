# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Numbers of reports: rounded for JSON, and in percent for people."""

import math
from typing import Optional


def json_number(value: Optional[float]) -> Optional[float]:
    """A number as JSON has it: rounded to 6 decimals; None where there is none or it is not finite."""
    return None if value is None or not math.isfinite(value) else round(float(value), 6)


def json_ratio(part: float, whole: float) -> Optional[float]:
    """The share of a part of the whole, for JSON; None of nothing."""
    return json_number(part / whole) if whole else None


def percent(fraction: Optional[float], digits: int = 2) -> str:
    """A fraction in percent, human-readable, without the sign; a dash for None."""
    return "-" if fraction is None else f"{100 * fraction:.{digits}f}"
