# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: declared, validated, and read; the errors of invalid ones."""

import difflib
from typing import Any, Collection, Dict, Iterable, List, Sequence

from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from bisenet_ros.errors import BisenetError
from bisenet_ros.node import qos
from bisenet_ros.node.lifecycle_node import HAS_TRANSITIONS
from bisenet_ros.node.parameter_definitions import (
    CONFIGURE,
    DEFAULT,
    DEFINITIONS,
    RELIABILITY_OVERRIDE,
    SET_BY_NODE,
    ParameterDefinition,
    as_list,
    camera_definitions,
    reliability_definition,
)

USER_ERRORS = (BisenetError, ParameterException, OSError, ModuleNotFoundError)
"""Errors that a user can fix, in the parameters, the model or the installation."""

MIXED_LIST = "Sequence should be of same type"
"""What ROS says of a list with integers and other numbers, such as [0, 1.5]."""


class Parameters:
    """Declares the parameters, validates changes, and returns values.

    Attributes:
        configured: the node is configured; parameters that are read at configuration must not change now.
    """

    def __init__(self, node: Node) -> None:
        """Raises BisenetError for an invalid value given at the start."""
        self._node = node
        self._definitions: Dict[str, ParameterDefinition] = {}
        # The values given at the start; rclpy has no public attribute.
        self._overrides: Dict[str, Parameter] = getattr(node, "_parameter_overrides", {})
        self._class_names = [""]
        self.configured = False
        node.add_on_set_parameters_callback(self._validate)
        for definition in DEFINITIONS:
            self._declare(definition)
        self.declare_cameras()

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def declare_cameras(self) -> None:
        """Declares the parameters of each camera in `cameras`."""
        for camera in self["cameras"]:
            for definition in camera_definitions(camera):
                self._declare(definition)

    def is_enabled(self, camera: str) -> bool:
        return self[f"{camera}.enabled"]

    def declare_reliability(self, topic: str) -> None:
        """Declares the override of an image topic's reliability; raises BisenetError if an invalid one was given."""
        # Not with rclpy's own override, which would keep the reliability of the first subscription.
        self._declare(reliability_definition(topic))

    def reliability(self, topic: str) -> str:
        """The reliability of the subscription to an image topic, for which `declare_reliability` was called."""
        override = self[RELIABILITY_OVERRIDE.format(topic)]
        return self["reliability"] if override == DEFAULT else override

    def set_class_names(self, names: Sequence[str]) -> None:
        self._class_names = list(names)
        self._node.set_parameters([Parameter("class_names", Parameter.Type.STRING_ARRAY, self._class_names)])

    def unknown_at_start(self) -> List[str]:
        """A message for each name that was given a value at the start but is no parameter."""
        overrides = [name for name in self._overrides if name.split(".")[0] == "qos_overrides"]
        misspelled = [name for name in overrides if not qos.OVERRIDE.fullmatch(name)]
        return [
            *self.unknown([name for name in self._overrides if name not in overrides]),
            *(f"there is no parameter {name!r}; expected {qos.OVERRIDES}" for name in misspelled),
        ]

    def ineffective_overrides(self, *, later: Collection[str]) -> List[str]:
        """A message for each `qos_overrides` parameter given at the start that the active node has not declared.

        Args:
            later: topics that it may yet subscribe to.
        """
        if qos.QoSOverridingOptions is None:
            return []
        named = [(name, qos.OVERRIDE.fullmatch(name)) for name in self._overrides if not self._node.has_parameter(name)]
        return [
            f"the parameter {name!r} has no effect: there is no such publisher or subscription{self._suggestion(name)}"
            for name, match in named
            if match and match["topic"] not in (*later, *qos.LATE_TOPICS)
        ]

    def unknown(self, names: Iterable[str]) -> List[str]:
        """A message for each of the names that is no parameter, with the parameter that may be meant."""
        return list(filter(None, map(self._unknown_message, names)))

    def _unknown_message(self, name: str) -> str:
        """What is wrong with the name of a parameter; empty where it is one.

        A parameter of a camera that is no longer in `cameras` would have no effect.
        """
        camera = name.split(".")[0]
        if camera not in self["cameras"] and any(name == definition.name for definition in camera_definitions(camera)):
            return (
                f"there is no parameter {name!r}, as there is no camera {camera!r} in the parameter cameras; set that "
                "one first"
            )
        if self._node.has_parameter(name):
            return ""
        return f"there is no parameter {name!r}{self._suggestion(name)}"

    def _suggestion(self, name: str) -> str:
        similar = difflib.get_close_matches(name, self._node.get_parameters_by_prefix(""), n=1)
        return f"; did you mean {similar[0]!r}?" if similar else ""

    def _declare(self, definition: ParameterDefinition) -> None:
        if self._node.has_parameter(definition.name):
            return
        override = self._overrides.get(definition.name)
        problem = definition.problem(override.value) if override else ""
        if problem:  # else rclpy would raise it, in many more words
            raise BisenetError(problem)
        self._definitions[definition.name] = definition
        # A file that `ros2 param dump` wrote has the class names of its model too.
        ignore_override = definition.read == SET_BY_NODE
        self._node.declare_parameter(definition.name, definition.default, definition.descriptor(), ignore_override)

    def _validate(self, changes: List[Parameter]) -> SetParametersResult:
        reasons = [self._reason_to_refuse(change) for change in changes]
        return SetParametersResult(successful=not any(reasons), reason="; ".join(filter(None, reasons)))

    def _reason_to_refuse(self, change: Parameter) -> str:
        definition = self._definitions.get(change.name)
        if definition is None:  # qos_overrides, use_sim_time
            return ""
        if definition.read == SET_BY_NODE and change.value != self._class_names:
            return f"parameter {change.name} is read-only: the node sets it from the model file"
        problem = definition.problem(change.value)
        if problem or definition.read != CONFIGURE or not self.configured:
            return problem
        if as_list(change.value) == as_list(self[change.name]):  # as where the node's own dump is loaded
            return ""
        remedy = "start the node again with the new value"
        if HAS_TRANSITIONS:
            name = self._node.get_fully_qualified_name()
            remedy = f"deactivate and clean it up first (`ros2 lifecycle set {name} deactivate`, then `cleanup`)"
        return f"parameter {change.name} is read when the node is configured; {remedy}"


def error_text(error: BaseException) -> str:
    """The error's message in one line; errors that a user cannot fix also have their type's name."""
    text = " ".join(str(error).split())
    if isinstance(error, InvalidParameterTypeException):
        return text.rpartition(": ")[0] or text  # rclpy appends the parameter's name once more
    if MIXED_LIST in text:
        return f"{text}; write all numbers of a list with a decimal point, such as [0.0, 1.5]"
    return text if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {text}"
