# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A YAML list of 500 bytes that fills the memory where somebody writes it out."""

LISTS = (f"&{new} [{', '.join(50 * [f'*{old}'])}]" for old, new in zip("abcdef", "bcdefg"))
ALIASES = f"[&a [x], {', '.join(LISTS)}]"
"""With all aliases written out it would have 50 ** 6 parts."""
