"""The node's parameters: what people see of them in `ros2 param describe`, and what values can be meant."""

from __future__ import annotations

import difflib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from bisenet_ros.engines.loader import DEVICES, PRECISIONS

RELIABILITIES = ("auto", "reliable", "best_effort")
DEFAULT = "default"
"""Of a topic's own reliability: what the parameter `reliability` says."""
TRANSPORTS = ("auto", "raw", "compressed")
CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

KINDS = {bool: "true or false", str: "a text", list: "a list of texts"}
"""What a value is in words, by the type of the parameter's default."""

START, CONFIGURE, LIVE, OWN = range(4)
"""When a parameter is read: at the start, at each configuration, with every frame; or it is set by the node itself."""


@dataclass(frozen=True)
class Setting:
    """One parameter.

    Attributes:
        default: its type is the parameter's; a float also takes integers.
        read: START, CONFIGURE, LIVE or OWN.
        choices: the values there are, for texts.
        range: the smallest and the largest value, for numbers.
    """

    name: str
    default: Any
    description: str
    read: int = CONFIGURE
    choices: Tuple[str, ...] = ()
    range: Optional[Tuple[float, float]] = None

    def descriptor(self) -> ParameterDescriptor:
        constraints = []
        if self.choices:
            constraints.append(f"One of {', '.join(self.choices)}.")
        if self.read == CONFIGURE:
            constraints.append("Can be changed while the node is unconfigured.")
        descriptor = ParameterDescriptor(
            description=self.description,
            additional_constraints=" ".join(constraints),
            read_only=self.read == START,
        )
        if hasattr(descriptor, "dynamic_typing"):  # from Galactic on
            # `problem` judges the types: Foxy does not, and the others neither take 1 for 1.0 nor say what is expected.
            descriptor.dynamic_typing = True
        if self.range:
            low, high = self.range
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        return descriptor

    def problem(self, value: Any) -> str:
        """Why a value cannot be meant, in words; empty if it can."""
        if isinstance(self.default, float):
            low, high = self.range or (float("-inf"), float("inf"))
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not low <= value <= high:
                return f"parameter {self.name} must be a number from {low:g} to {high:g}, got {value!r}"
        if self.choices and value not in self.choices:
            return f"parameter {self.name} must be one of {', '.join(self.choices)}, got {value!r}"
        if self.name == "cameras":
            return _problem_with_cameras(value)
        kind = type(self.default)
        if kind in KINDS and not isinstance(value, kind):
            return f"parameter {self.name} must be {KINDS[kind]}, got {value!r}"
        return ""


def _enabled(camera: str) -> str:
    """The parameter that tells whether a camera is segmented."""
    return f"{camera}.enabled"


def _problem_with_cameras(names: Any) -> str:
    fine = isinstance(names, list) and names and all(map(_is_camera_name, names))
    if fine and len(set(names)) == len(names):
        return ""
    brackets = f"; a list has brackets: [{names}]" if isinstance(names, str) else ""
    return f"parameter cameras must be a list of different names (letters, digits, _), got {names!r}{brackets}"


def _is_camera_name(name: Any) -> bool:
    return isinstance(name, str) and CAMERA_NAME.fullmatch(name) is not None


SETTINGS = (
    Setting("model", "", "Model file (.onnx) with its card inside; empty: the shipped CamVid model."),
    Setting(
        "device", "auto", "Where the network runs; auto takes a GPU with TensorRT if there is one.", choices=DEVICES
    ),
    Setting(
        "precision", "auto", "What the network computes in; auto takes the fastest that is safe.", choices=PRECISIONS
    ),
    Setting("plan_cache", "", "Folder for TensorRT's plans; empty: ~/.cache/bisenet_ros."),
    Setting("cameras", ["camera"], "Names of the cameras; NAME is read from /NAME/image_raw, which can be remapped."),
    Setting(
        "transport",
        "auto",
        "Raw images, or JPEG and PNG from image_raw/compressed; auto takes what is published, raw rather.",
        choices=TRANSPORTS,
    ),
    Setting(
        "reliability",
        "auto",
        "Reliability of the image subscriptions; auto takes what the camera offers.",
        choices=RELIABILITIES,
    ),
    Setting(
        "max_age", 0.0, "Images with a stamp older than this are dropped, in s; 0: none.", LIVE, range=(0.0, 3600.0)
    ),
    Setting("publish_rate", 0.0, "Most masks per second and camera, in Hz; 0: no limit.", LIVE, range=(0.0, 1000.0)),
    Setting("overlay_opacity", 0.5, "Share of the classes' colors in the overlay, 0 to 1.", LIVE, range=(0.0, 1.0)),
    Setting("autostart", True, "Configure and activate at the start, without waiting to be told.", START),
    Setting("diagnostics_rate", 1.0, "How often /diagnostics is published, in Hz.", START, range=(0.1, 10.0)),
    Setting("class_names", [""], "Names of the classes by id, from the model's card. Read-only.", OWN),
)


class Parameters:
    """Declares the parameters, judges what is set, and tells the values.

    Attributes:
        configured: the node is; what is read at configuration must not change now.

    Raises:
        ValueError: a value that cannot be meant, or of the wrong type.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._settings: Dict[str, Setting] = {}
        self._node_sets = False
        self.configured = False
        node.add_on_set_parameters_callback(self._judge)
        for setting in SETTINGS:
            self._declare(setting)
        self.declare_cameras()

    def __getitem__(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def declare_cameras(self) -> None:
        """Declares what each camera of `cameras` has for itself."""
        for camera in self["cameras"]:
            self._declare(Setting(_enabled(camera), True, f"Whether {camera}'s images are segmented.", LIVE))

    def is_enabled(self, camera: str) -> bool:
        return self[_enabled(camera)]

    def reliability(self, topic: str) -> str:
        """Of `RELIABILITIES`, the one for the images of a topic.

        Raises:
            ValueError: it is overridden with what is none.
        """
        # rclpy's own override would keep the reliability of the first subscription.
        name = f"qos_overrides.{topic}.subscription.reliability"
        description = f"Reliability of the subscription to {topic}; default: as the parameter reliability says."
        self._declare(Setting(name, DEFAULT, description, LIVE, choices=(DEFAULT, *RELIABILITIES)))
        return self["reliability"] if self[name] == DEFAULT else self[name]

    def set_class_names(self, names: Sequence[str]) -> None:
        with self._by_the_node():
            self._node.set_parameters([Parameter("class_names", Parameter.Type.STRING_ARRAY, list(names))])

    def misspelt(self) -> List[str]:
        """What was given a value at the start but is no parameter, as `unknown` says it."""
        # A topic's overrides become parameters when it is first used.
        return self.unknown([name for name in self._given() if name.split(".")[0] != "qos_overrides"])

    def unknown(self, names: Iterable[str]) -> List[str]:
        """Those names that are no parameter, each in words, with what may have been meant."""
        return [self._no_parameter(name) for name in names if not self._node.has_parameter(name)]

    def _no_parameter(self, name: str) -> str:
        if name in map(_enabled, self["cameras"]):
            return f"there is no parameter {name!r} until the node is configured"
        alike = difflib.get_close_matches(name, self._node.get_parameters_by_prefix(""), n=1)
        return f"there is no parameter {name!r}" + (f"; did you mean {alike[0]!r}?" if alike else "")

    def _given(self) -> Dict[str, Parameter]:
        """What was given a value at the start."""
        # rclpy offers no public way to see them.
        return getattr(self._node, "_parameter_overrides", {})

    def _declare(self, setting: Setting) -> None:
        if self._node.has_parameter(setting.name):
            return
        given = self._given().get(setting.name)
        problem = setting.problem(given.value) if given else ""
        if problem:  # in fewer words than rclpy would put around them
            raise ValueError(problem)
        self._settings[setting.name] = setting
        with self._by_the_node():
            self._node.declare_parameter(setting.name, setting.default, setting.descriptor())

    @contextmanager
    def _by_the_node(self) -> Iterator[None]:
        self._node_sets = True
        try:
            yield
        finally:
            self._node_sets = False

    def _judge(self, changes: List[Parameter]) -> SetParametersResult:
        reasons = [self._refusal(change) for change in changes]
        return SetParametersResult(successful=not any(reasons), reason="; ".join(filter(None, reasons)))

    def _refusal(self, change: Parameter) -> str:
        setting = self._settings.get(change.name)
        if setting is None:  # qos_overrides, use_sim_time
            return ""
        if setting.read == OWN and not self._node_sets:
            return f"parameter {change.name} is read-only: it tells what the model's card says"
        problem = setting.problem(change.value)
        if problem or setting.read != CONFIGURE or not self.configured:
            return problem
        return (
            f"parameter {change.name} is read when the node is configured; deactivate and clean it up first "
            f"(`ros2 lifecycle set {self._node.get_fully_qualified_name()} deactivate`, then `cleanup`)"
        )
