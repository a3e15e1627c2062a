# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: names, defaults, descriptions, valid values and errors."""

import difflib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.engines.precision import PRECISIONS
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import (
    CARD,
    FULL,
    HALF,
    LONGEST_SIDE,
    SMALLEST_SIDE,
    SizeError,
    check_size_choice,
)
from bisenet_ros.node.camera_topics import are_camera_names

USER_ERRORS = (BisenetError, ParameterException, OSError, ModuleNotFoundError)
"""Errors that a user can mend, in the parameters, the model or the installation."""
RELIABILITIES = ("auto", "reliable", "best_effort")
DEFAULT = "default"
"""The reliability override of a topic that means: as the parameter `reliability` says."""
TRANSPORTS = ("auto", "raw", "compressed")

TYPE_WORDS = {bool: "true or false", str: "a string", list: "a list of strings"}
"""By the type of a parameter's default."""

START, CONFIGURE, LIVE, SET_BY_NODE = range(4)
"""When a parameter is read: once at the start, at each configuration, with every frame. Or the node itself sets it."""


@dataclass(frozen=True)
class Setting:
    """One parameter.

    Attributes:
        default: its type is the parameter's; a float also takes integers.
        read: START, CONFIGURE, LIVE or SET_BY_NODE.
        choices: the valid values of a string.
        is_valid, expected: tells the valid values where their type alone does not, and what they are, in words.
        range: the smallest and the largest valid number.
    """

    name: str
    default: Any
    description: str
    read: int = CONFIGURE
    choices: Tuple[str, ...] = ()
    is_valid: Optional[Callable[[Any], bool]] = None
    expected: str = ""
    range: Optional[Tuple[float, float]] = None

    def descriptor(self) -> ParameterDescriptor:
        descriptor = ParameterDescriptor(description=self.description, read_only=self.read == START)
        if self.choices:
            descriptor.additional_constraints = f"One of {', '.join(self.choices)}. "
        if self.read == CONFIGURE:
            descriptor.additional_constraints += "Can be changed while the node is unconfigured."
        if hasattr(descriptor, "dynamic_typing"):  # from Galactic on
            # `problem` checks the types: rclpy does not accept 1 for 1.0 and does not say what is valid.
            descriptor.dynamic_typing = True
        if self.range:
            low, high = self.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        return descriptor

    def problem(self, value: Any) -> str:
        """Why a value is invalid; empty if it is valid."""
        hint = ""
        if self.range:
            low, high = self.range
            expected = f"a number from {low:g} to {high:g}"
            is_valid = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        elif self.choices:
            expected = f"one of {', '.join(self.choices)}"
            is_valid = value in self.choices
        elif self.is_valid:
            expected, is_valid = self.expected, self.is_valid(value)
            if isinstance(self.default, list) and isinstance(value, str):
                hint = f"; a list has brackets: [{value}]"
        else:
            expected = TYPE_WORDS[type(self.default)]
            is_valid = isinstance(value, type(self.default))
        return "" if is_valid else f"parameter {self.name} must be {expected}, got {value!r}{hint}"


def _enabled(camera: str) -> str:
    """The name of the parameter that enables a camera."""
    return f"{camera}.enabled"


def _is_size_choice(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        check_size_choice(value)
    except SizeError:
        return False
    return True


SETTINGS = (
    Setting("model", "", "Model file (.onnx) that `bisenet export` made; empty: the shipped CamVid model."),
    Setting("device", "auto", "Where the network runs; auto: a GPU with TensorRT, else the CPU.", choices=DEVICES),
    Setting("precision", "auto", "Number format; auto: the fastest that keeps the masks' quality.", choices=PRECISIONS),
    Setting(
        "network_size",
        CARD,
        "Size of frames for the network; card: as many pixels as the model's card says; half or full: of the frames'.",
        is_valid=_is_size_choice,
        expected=f"{CARD}, {HALF}, {FULL} or WIDTHxHEIGHT (sides of {SMALLEST_SIDE} to {LONGEST_SIDE} pixels)",
    ),
    Setting("class_map", "", "File (.yaml) that merges the model's classes into groups; empty: the model's classes."),
    Setting("plan_cache", "", "Folder for TensorRT's plans, its compiled files; empty: ~/.cache/bisenet_ros."),
    Setting(
        "cameras",
        ["camera"],
        "Names of the cameras; NAME is read from /NAME/image_raw, which can be remapped.",
        is_valid=are_camera_names,
        expected="a list of different names (letters, digits, _)",
    ),
    Setting(
        "transport", "auto", "Raw images, or compressed ones; auto: raw if they are published.", choices=TRANSPORTS
    ),
    Setting("reliability", "auto", "Of the image subscriptions; auto: as all publishers offer.", choices=RELIABILITIES),
    Setting("max_age", 0.0, "Images older by their stamp are dropped, in s; 0: no limit.", LIVE, range=(0.0, 3600.0)),
    Setting("publish_rate", 0.0, "Highest rate of masks per camera, in Hz; 0: no limit.", LIVE, range=(0.0, 1000.0)),
    Setting(
        "picture_rate",
        0.0,
        "Highest rate of color_mask and overlay, in Hz; 0: as of the masks.",
        LIVE,
        range=(0.0, 1000.0),
    ),
    Setting(
        "smoothing",
        0.0,
        "What the frames before weigh in a mask, 0 to 0.9, on the CPU; they move with the picture. 0: nothing.",
        LIVE,
        range=(0.0, 0.9),
    ),
    Setting("overlay_opacity", 0.5, "Opacity of the classes' colors in the overlay, 0 to 1.", LIVE, range=(0.0, 1.0)),
    Setting("autostart", True, "Configure and activate the node at the start.", START),
    Setting("diagnostics_rate", 1.0, "How often /diagnostics is published, in Hz.", START, range=(0.1, 10.0)),
    Setting("class_names", [""], "Names of the classes by id, from the model's card. Read-only.", SET_BY_NODE),
)


class Parameters:
    """Declares the parameters, validates changes, and returns values.

    Attributes:
        configured: the node is configured; parameters that are read at configuration must not change now.
    """

    def __init__(self, node: Node) -> None:
        """Raises BisenetError for an invalid value given at the start."""
        self._node = node
        self._settings: Dict[str, Setting] = {}
        # The values given at the start; rclpy has no public attribute.
        self._overrides: Dict[str, Parameter] = getattr(node, "_parameter_overrides", {})
        self._class_names = [""]
        self.configured = False
        node.add_on_set_parameters_callback(self._validate)
        for setting in SETTINGS:
            self._declare(setting)
        self.declare_cameras()

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def declare_cameras(self) -> None:
        """Declares the parameters of each camera in `cameras`."""
        for camera in self["cameras"]:
            self._declare(Setting(_enabled(camera), True, f"Whether the images of {camera} are segmented.", LIVE))

    def is_enabled(self, camera: str) -> bool:
        return self[_enabled(camera)]

    def reliability(self, topic: str) -> str:
        """That of the subscription to an image topic; raises BisenetError for an invalid override of the topic."""
        # Not with rclpy's own override, which would keep the reliability of the first subscription.
        name = f"qos_overrides.{topic}.subscription.reliability"
        description = f"Reliability of the subscription to {topic}; default: that of the parameter reliability."
        self._declare(Setting(name, DEFAULT, description, LIVE, choices=(DEFAULT, *RELIABILITIES)))
        return self["reliability"] if self[name] == DEFAULT else self[name]

    def set_class_names(self, names: Sequence[str]) -> None:
        self._class_names = list(names)
        self._node.set_parameters([Parameter("class_names", Parameter.Type.STRING_ARRAY, self._class_names)])

    def unknown_at_start(self) -> List[str]:
        """A message for each name that was given a value at the start but is no parameter."""
        # QoS overrides are declared later, when their topic is first used.
        return self.unknown([name for name in self._overrides if name.split(".")[0] != "qos_overrides"])

    def unknown(self, names: Iterable[str]) -> List[str]:
        """A message for each of the names that is no parameter, with the parameter that may be meant."""
        return [self._unknown_message(name) for name in names if not self._node.has_parameter(name)]

    def _unknown_message(self, name: str) -> str:
        if name in map(_enabled, self["cameras"]):
            return f"there is no parameter {name!r} until the node is configured"
        similar = difflib.get_close_matches(name, self._node.get_parameters_by_prefix(""), n=1)
        return f"there is no parameter {name!r}" + (f"; did you mean {similar[0]!r}?" if similar else "")

    def _declare(self, setting: Setting) -> None:
        if self._node.has_parameter(setting.name):
            return
        override = self._overrides.get(setting.name)
        problem = setting.problem(override.value) if override else ""
        if problem:  # else rclpy would raise it, in many more words
            raise BisenetError(problem)
        self._settings[setting.name] = setting
        # A file that `ros2 param dump` wrote has the class names of its model too.
        ignore_override = setting.read == SET_BY_NODE
        self._node.declare_parameter(setting.name, setting.default, setting.descriptor(), ignore_override)

    def _validate(self, changes: List[Parameter]) -> SetParametersResult:
        reasons = [self._reason_to_refuse(change) for change in changes]
        return SetParametersResult(successful=not any(reasons), reason="; ".join(filter(None, reasons)))

    def _reason_to_refuse(self, change: Parameter) -> str:
        setting = self._settings.get(change.name)
        if setting is None:  # qos_overrides, use_sim_time
            return ""
        if setting.read == SET_BY_NODE and change.value != self._class_names:
            return f"parameter {change.name} is read-only: the node sets it from the model file"
        problem = setting.problem(change.value)
        if problem or setting.read != CONFIGURE or not self.configured:
            return problem
        return (
            f"parameter {change.name} is read when the node is configured; deactivate and clean it up first "
            f"(`ros2 lifecycle set {self._node.get_fully_qualified_name()} deactivate`, then `cleanup`)"
        )


def error_text(error: BaseException) -> str:
    """The error's message in one line; errors that a user cannot mend also have their type's name."""
    text = " ".join(str(error).split())
    if isinstance(error, InvalidParameterTypeException):
        return text.rpartition(": ")[0] or text  # rclpy appends the parameter's name once more
    return text if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {text}"
