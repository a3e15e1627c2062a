# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node in the test's own process, with a fake engine."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, Optional, Tuple

from node_harness import FakeEngine, Vehicle, node_here

from bisenet_ros.node.segmentation_node import SegmentationNode


@contextmanager
def fake_node(
    *arguments: str, engine: Optional[FakeEngine] = None, autostart: bool = True
) -> Iterator[Tuple[SegmentationNode, Vehicle, FakeEngine]]:
    """Yields the node, the test's side of it, and its engine.

    Args:
        arguments: ROS arguments of the node.
        engine: used at every configuration; by default FakeEngine().
    """
    used = engine or FakeEngine()
    with node_here(*arguments, load=lambda *_, **__: used, autostart=autostart) as (node, vehicle):
        yield node, vehicle, used
