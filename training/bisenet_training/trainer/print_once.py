# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Prints from one process of a run alone."""

from lightning.pytorch.utilities import rank_zero_only


@rank_zero_only
def print_once(words: str) -> None:
    """Prints in the first process of those that share a run; nothing where there are no words."""
    if words:
        print(words)
