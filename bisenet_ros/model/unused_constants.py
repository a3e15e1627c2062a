# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Removes constants of an ONNX graph that no node uses any more."""

import onnx


def remove_unused_constants(graph: onnx.GraphProto) -> None:
    """Removes, in place, the initializers that are no node's input; runtimes warn of such."""
    used = {name for node in graph.node for name in node.input}
    for constant in [constant for constant in graph.initializer if constant.name not in used]:
        graph.initializer.remove(constant)
