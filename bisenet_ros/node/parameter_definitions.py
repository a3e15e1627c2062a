# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The definitions of the node's parameters: names, defaults, descriptions and valid values."""

import math
from array import array
from dataclasses import dataclass
from enum import Enum
from typing import Any, Callable, Dict, Optional, Tuple

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor

from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.engines.precision import PRECISIONS
from bisenet_ros.images import OPACITY
from bisenet_ros.model.input_size import (
    CARD,
    FULL,
    HALF,
    LONGEST_SIDE,
    SMALLEST_SIDE,
    SizeError,
    check_size_choice,
)
from bisenet_ros.node.camera_topics import TYPE_NAMES, are_camera_names

RELIABILITY_OVERRIDE = "qos_overrides.{}.subscription.reliability"
"""The parameter of the reliability of one subscription; {} is the topic, after remapping."""
RELIABILITIES = ("auto", "reliable", "best_effort")
DEFAULT = "default"
"""The reliability override of a topic that means: as the parameter `reliability` says."""
TRANSPORTS = ("auto", *TYPE_NAMES)

TYPE_WORDS = {bool: "true or false", str: "a string", list: "a list of strings"}
"""By the type of a parameter's default."""


class ReadAt(Enum):
    """When a parameter is read."""

    START = "once, at the start"
    CONFIGURE = "at each configuration"
    LIVE = "while the node runs"
    SET_BY_NODE = "never: the node sets it"


START, CONFIGURE, LIVE, SET_BY_NODE = ReadAt


@dataclass(frozen=True)
class ParameterDefinition:
    """One parameter.

    Attributes:
        default: its type is the parameter's; a float also takes integers.
        choices: the valid values of a string.
        is_valid: a check for where neither range, choices nor the type of the default tells the valid values.
        expected: the values that `is_valid` takes, as text.
        range: the smallest and the largest valid number.
    """

    name: str
    default: Any
    description: str
    read: ReadAt = CONFIGURE
    choices: Tuple[str, ...] = ()
    is_valid: Optional[Callable[[Any], bool]] = None
    expected: str = ""
    range: Optional[Tuple[float, float]] = None

    @property
    def expected_values(self) -> str:
        """The valid values, as text."""
        if self.range:
            low, high = self.range
            return f"a number from {low:g} to {high:g}"
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return self.expected or TYPE_WORDS[type(self.default)]

    def descriptor(self) -> ParameterDescriptor:
        descriptor = ParameterDescriptor(description=self.description, read_only=self.read == START)
        descriptor.additional_constraints = f"Must be {self.expected_values}."
        if self.read == CONFIGURE:
            descriptor.additional_constraints += " Can be changed while the node is unconfigured."
        if hasattr(descriptor, "dynamic_typing"):  # from Galactic on
            # `problem` checks the types: rclpy does not accept 1 for 1.0 and does not say what is valid.
            descriptor.dynamic_typing = True
        if self.range:
            low, high = self.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        return descriptor

    def problem(self, value: Any) -> str:
        """Why a value is invalid; empty if it is valid."""
        value = as_list(value)
        if self._accepts(value):
            return ""
        return f"parameter {self.name} must be {self.expected_values}, got {value!r}{self._hint(value)}"

    def _accepts(self, value: Any) -> bool:
        if self.range:
            low, high = self.range
            return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
        if self.choices:
            return value in self.choices
        return self.is_valid(value) if self.is_valid else isinstance(value, type(self.default))

    def _hint(self, value: Any) -> str:
        """What is to be written for a list that was given as a string."""
        if not (isinstance(self.default, list) and isinstance(value, str)):
            return ""
        return f"; a list has no quotes: {value}" if value.startswith("[") else f"; a list has brackets: [{value}]"


def as_list(value: Any) -> Any:
    """Makes a list of an array of numbers, as rclpy has them from the parameter services."""
    return value.tolist() if isinstance(value, array) else value


def _is_size_choice(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        check_size_choice(value)
    except SizeError:
        return False
    return True


def _are_numbers(value: Any, count: int) -> bool:
    numbers = isinstance(value, list) and all(type(number) in (int, float) for number in value)
    return numbers and len(value) == count and all(map(math.isfinite, value))


def _is_interval(value: Any) -> bool:
    return _are_numbers(value, 2) and value[0] < value[1]


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


INTERVAL: Dict[str, Any] = {"is_valid": _is_interval, "expected": "a list of a smaller and a larger number"}
NAMES: Dict[str, Any] = {"is_valid": _are_names, "expected": "a list of the names of classes"}
NO_POSE = [0.0]
"""The default of a camera's pose, since ROS has no empty list of numbers: it is looked up in tf2."""

DEFINITIONS = (
    ParameterDefinition("model", "", "Model file (.onnx) that `bisenet export` made; empty: the shipped CamVid model."),
    ParameterDefinition(
        "device", "auto", "Where the network runs; auto: a GPU with TensorRT, else the CPU.", choices=DEVICES
    ),
    ParameterDefinition(
        "precision", "auto", "Number format; auto: the fastest that keeps the masks' quality.", choices=PRECISIONS
    ),
    ParameterDefinition(
        "network_size",
        CARD,
        "Size of frames for the network; card: as many pixels as the model's card says; half or full: of the frames'.",
        is_valid=_is_size_choice,
        expected=f"{CARD}, {HALF}, {FULL} or WIDTHxHEIGHT (sides of {SMALLEST_SIDE} to {LONGEST_SIDE} pixels)",
    ),
    ParameterDefinition(
        "class_map", "", "File (.yaml) that merges the model's classes into groups; empty: the model's classes."
    ),
    ParameterDefinition(
        "plan_cache", "", "Folder for TensorRT's plans, its compiled files; empty: ~/.cache/bisenet_ros."
    ),
    ParameterDefinition(
        "cameras",
        ["camera"],
        "Names of the cameras; NAME is read from /NAME/image_raw, which can be remapped.",
        is_valid=are_camera_names,
        expected="a list of different names (letters, digits, _)",
    ),
    ParameterDefinition(
        "transport", "auto", "Raw images, or compressed ones; auto: raw if they are published.", choices=TRANSPORTS
    ),
    ParameterDefinition(
        "reliability", "auto", "Of the image subscriptions; auto: as all publishers offer.", choices=RELIABILITIES
    ),
    ParameterDefinition(
        "max_age", 0.0, "Images older by their stamp are dropped, in s; 0: no limit.", LIVE, range=(0.0, 3600.0)
    ),
    ParameterDefinition(
        "publish_rate", 0.0, "Highest rate of masks per camera, in Hz; 0: no limit.", LIVE, range=(0.0, 1000.0)
    ),
    ParameterDefinition(
        "picture_rate",
        0.0,
        "Highest rate of color_mask and overlay, in Hz; 0: as of the masks.",
        LIVE,
        range=(0.0, 1000.0),
    ),
    ParameterDefinition(
        "smoothing",
        0.0,
        "Weight of earlier frames in each mask, 0 to 0.9, on the CPU; they move with the picture. 0: no smoothing.",
        LIVE,
        range=(0.0, 0.9),
    ),
    ParameterDefinition(
        "min_confidence",
        0.0,
        "Pixels below this confidence are 255 (unknown) in the mask, 0 to 1; costs what the topic confidence does.",
        LIVE,
        range=(0.0, 1.0),
    ),
    ParameterDefinition(
        "warn_confidence",
        0.0,
        "The diagnostics warn while a camera's mean confidence of the last 10 s is below this, 0 to 1; 0: never.",
        LIVE,
        range=(0.0, 1.0),
    ),
    ParameterDefinition(
        "overlay_opacity", OPACITY, "Opacity of the classes' colors in the overlay, 0 to 1.", LIVE, range=(0.0, 1.0)
    ),
    ParameterDefinition("grid.frame", "base_link", "Frame of the ground grid; its z = 0 is the ground."),
    ParameterDefinition("grid.resolution", 0.1, "Side of a cell of the ground grid, in m.", range=(0.01, 10.0)),
    ParameterDefinition("grid.x", [0.0, 40.0], "First and last meter of the ground grid along x.", **INTERVAL),
    ParameterDefinition("grid.y", [-15.0, 15.0], "First and last meter of the ground grid along y.", **INTERVAL),
    ParameterDefinition(
        "grid.drivable", [""], "Classes that are free in the ground grid; empty: road or drivable.", **NAMES
    ),
    ParameterDefinition("grid.ignored", [""], "Classes that are unknown in the ground grid; empty: sky.", **NAMES),
    ParameterDefinition("autostart", True, "Configure and activate the node at the start.", START),
    ParameterDefinition(
        "diagnostics_rate", 1.0, "How often /diagnostics is published, in Hz.", START, range=(0.1, 10.0)
    ),
    ParameterDefinition(
        "class_names", [""], "Names of the classes by id, from the model's card. Read-only.", SET_BY_NODE
    ),
)


def camera_definitions(camera: str) -> Tuple[ParameterDefinition, ...]:
    """The definitions of the parameters of one camera."""
    pose = "Pose of the optical frame of {} in grid.frame: x, y, z in m, roll, pitch, yaw in rad; [0.0]: from tf2."
    return (
        ParameterDefinition(f"{camera}.enabled", True, f"Whether the images of {camera} are segmented.", LIVE),
        ParameterDefinition(
            f"{camera}.ignore_mask", "", f"PNG of the size of {camera}'s images; what is not black is 255."
        ),
        ParameterDefinition(
            f"{camera}.pose",
            NO_POSE,
            pose.format(camera),
            is_valid=lambda value: value == NO_POSE or _are_numbers(value, 6),
            expected="a list of 6 numbers (x, y, z, roll, pitch, yaw), or [0.0] for tf2",
        ),
        ParameterDefinition(f"{camera}.rectified", False, f"Whether the images of {camera} are rectified already."),
    )


def reliability_definition(topic: str) -> ParameterDefinition:
    """The definition of the reliability of the subscription to an image topic."""
    name = RELIABILITY_OVERRIDE.format(topic)
    description = f"Reliability of the subscription to {topic}; default: that of the parameter reliability."
    return ParameterDefinition(name, DEFAULT, description, LIVE, choices=(DEFAULT, *RELIABILITIES))
