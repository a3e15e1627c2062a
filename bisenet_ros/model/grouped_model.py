# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A model whose classes are merged into groups inside the network, so that every engine runs it as any other.

Behind the logits, at an eighth of the network's input, a group's logit is the logarithm of the sum of its classes'
exponentials (log-sum-exp). The softmax over the groups is then the sum of their classes' probabilities, and masks and
confidence are made of the groups' logits as of a class's: upsampled, argmax, ties to the lower id. A group of one class
has its logit, unchanged. Summing before the upsampling costs a few thousandths of what it costs at the frame's size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, List

import numpy as np

from bisenet_ros.model.class_groups import Grouping
from bisenet_ros.model.model_card import ModelCard, write_card
from bisenet_ros.model.model_file import ModelError, read_model

if TYPE_CHECKING:
    import onnx

NEVER = -1e4
"""The logit of a group that has no class; fp16 has room for it."""
CLASS_LOGITS = "class_logits"
REDUCE_SUM_BY_INPUT, REDUCE_MAX_BY_INPUT = 13, 18
"""The opsets from which on the axes are an input, not an attribute."""


def write_grouped_model(source: Path, card: ModelCard, grouping: Grouping, target: Path) -> ModelCard:
    """Writes a model file with the classes merged; its card, whose classes are the groups.

    Raises:
        ModelError: the source cannot be read, or has not one output of logits.
        OSError: the target cannot be written.
    """
    import onnx

    model = read_model(source)
    grouped = replace(card, classes=grouping.classes)
    _merge(model, grouping, classes=len(card.classes))
    write_card(model, grouped)
    onnx.save(model, target)
    return grouped


def _merge(model: onnx.ModelProto, grouping: Grouping, *, classes: int) -> None:
    """Puts the groups' logits in place of the output, N x classes x h x w, which gets another name."""
    graph = model.graph
    if len(graph.output) != 1:
        raise ModelError(f"expected a network with one output of logits, got {len(graph.output)}")
    output = graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == output:
                    names[place] = CLASS_LOGITS
    graph_nodes = _Nodes(model)
    groups = [
        graph_nodes.group(np.flatnonzero(grouping.ids[:classes] == number)) for number in range(len(grouping.classes))
    ]
    graph_nodes.add("Concat", groups, output=output, axis=1)
    sides = graph.output[0].type.tensor_type.shape.dim  # none where the file does not say
    if len(sides) > 1 and sides[1].HasField("dim_value"):
        sides[1].dim_value = len(groups)


class _Nodes:
    """Adds nodes to a model's graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
        if not self._opset:
            raise ModelError("the network has no version of ONNX's operators (opset); export it again")
        self._count = 0

    def group(self, members: np.ndarray) -> str:
        """The name of a group's logit, N x 1 x h x w."""
        if not len(members):
            any_class = self.add("Gather", [CLASS_LOGITS, self._constant(np.array([0]))], axis=1)
            zero = self.add("Mul", [any_class, self._constant(np.array(0, np.float32))])
            return self.add("Add", [zero, self._constant(np.array(NEVER, np.float32))])
        logits = self.add("Gather", [CLASS_LOGITS, self._constant(members)], axis=1)
        if len(members) == 1:
            return logits
        # The largest is taken out first, so that no exponential is too large, in fp16 either.
        largest = self._reduce("ReduceMax", logits, by_input=self._opset >= REDUCE_MAX_BY_INPUT)
        exponentials = self.add("Exp", [self.add("Sub", [logits, largest])])
        total = self._reduce("ReduceSum", exponentials, by_input=self._opset >= REDUCE_SUM_BY_INPUT)
        return self.add("Add", [largest, self.add("Log", [total])])

    def add(self, operator: str, inputs: List[str], *, output: str = "", **attributes: Any) -> str:
        """Adds a node; the name of its output."""
        from onnx import helper

        self._count += 1
        name = output or f"class_group_{self._count}"
        self._graph.node.append(helper.make_node(operator, inputs, [name], name=f"node_of_{name}", **attributes))
        return name

    def _reduce(self, operator: str, name: str, *, by_input: bool) -> str:
        if by_input:
            return self.add(operator, [name, self._constant(np.array([1]))], keepdims=1)
        return self.add(operator, [name], axes=[1], keepdims=1)

    def _constant(self, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self._count += 1
        name = f"class_group_constant_{self._count}"
        self._graph.initializer.append(numpy_helper.from_array(value, name))
        return name
