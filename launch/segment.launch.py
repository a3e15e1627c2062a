# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bisenet_ros segment.launch.py`: starts the segmentation node."""

import os
import re
from functools import partial
from pathlib import Path
from typing import Any, Dict, List

import launch.logging
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    GroupAction,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.package_share import package_file
from bisenet_ros.node import restart
from bisenet_ros.node.camera_topics import are_camera_names, image_topic, rectified_topic
from bisenet_ros.node.fastdds import shared_memory_environment
from bisenet_ros.node.parameter_file import read_parameter_file

TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
TRANSPORTS = {"auto": "auto", "true": "compressed", "false": "raw"}
"""The parameter `transport`, by the argument `compressed`."""
SEVERITIES = ("debug", "info", "warn", "error", "fatal")
UNSET = "empty: the value in params_file"
optional = partial(DeclareLaunchArgument, default_value="")


def generate_launch_description() -> LaunchDescription:
    parameters = str(package_file("config/segment.yaml"))
    arguments = [
        optional("model", description=f"Model file (.onnx); {UNSET}, by default the shipped model."),
        optional("cameras", description=f"Names, separated by commas; NAME is read from /NAME/image_raw; {UNSET}."),
        optional("image_topic", description="The sensor_msgs/Image topic of the only camera; empty: /NAME/image_raw."),
        optional("camera_namespace", description="What precedes NAME: /camera_namespace/NAME/image_raw is read."),
        optional(
            "compressed",
            choices=["", *TRANSPORTS],
            description=f"Whether to read IMAGE_TOPIC/compressed; auto: if no raw images are published; {UNSET}.",
        ),
        optional(
            "rectified",
            choices=["", "true", "false"],
            description=f"true: the images are rectified, by default those of /NAME/image_rect; {UNSET}.",
        ),
        optional("device", description=f"Where the network runs: auto, cpu or cuda; {UNSET}."),
        optional("precision", description=f"Number format of the network: auto, fp32, bf16, fp16 or int8; {UNSET}."),
        optional("network_size", description=f"Of frames for the network: card, half, full or WIDTHxHEIGHT; {UNSET}."),
        optional("class_map", description=f"File (.yaml) that merges the model's classes into groups; {UNSET}."),
        optional("autostart", choices=["", "true", "false"], description=f"Whether to activate the node; {UNSET}."),
        DeclareLaunchArgument(
            "respawn",
            default_value="true",
            choices=["true", "false", "always"],
            description=f"Whether to restart the node after a GPU fault that needs it (exit code {restart.EXIT_CODE}); "
            "always: after any exit code but 0.",
        ),
        DeclareLaunchArgument("namespace", default_value="segmentation", description="Of the node; / for none."),
        DeclareLaunchArgument("params_file", default_value=parameters, description="YAML file with the parameters."),
        DeclareLaunchArgument(
            "log_level", default_value="info", choices=SEVERITIES, description="The lowest severity that is logged."
        ),
    ]
    # Without the shared-memory profile most large images are lost. A profile that the user has set is kept.
    environment = [SetEnvironmentVariable(name, value) for name, value in shared_memory_environment().items()]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=_segmentation_node)])


def _segmentation_node(context: LaunchContext) -> List[Action]:
    """The actions that start the node, made once launch knows the arguments' values."""
    arguments = dict(context.launch_configurations)
    namespace, params_file = arguments["namespace"], arguments["params_file"]
    if namespace != "/" and not TOPIC.fullmatch(namespace):
        raise BisenetError(
            f"namespace must be names (letters, digits, _) joined by /, or / for none, got {namespace!r}"
        )
    pushed = context.launch_configurations.get("ros_namespace")  # by PushRosNamespace
    full_namespace = make_namespace_absolute(prefix_namespace(pushed, namespace))
    in_file = read_parameter_file(params_file, f"{full_namespace.rstrip('/')}/segmentation_node")
    overrides = _overrides(arguments)
    named = overrides.get("cameras") or in_file.get("cameras")
    cameras = named if are_camera_names(named) else ["camera"]  # the node refuses other names that a file has
    is_rectified = arguments["rectified"] == "true"
    if arguments["rectified"]:
        overrides.update({f"{camera}.rectified": is_rectified for camera in cameras})
    faults = restart.fault_log(Path(launch.logging.launch_config.log_dir), full_namespace)
    # Not launch_ros's LifecycleNode: launch sends no transitions here, and Galactic's rclpy has no lifecycle.
    node = Node(
        package="bisenet_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=namespace,
        parameters=[params_file, {name: _typed(value) for name, value in overrides.items()}],
        remappings=_remappings(
            arguments["image_topic"], cameras, camera_namespace=arguments["camera_namespace"], is_rectified=is_rectified
        ),
        arguments=["--ros-args", "--log-level", arguments["log_level"]],
        additional_env={restart.FAULT_LOG: str(faults)},
        output="screen",
        emulate_tty=True,
    )
    respawn = partial(_respawn, arguments=arguments)
    return [RegisterEventHandler(OnProcessExit(target_action=node, on_exit=respawn)), node]


def _respawn(event: ProcessExited, context: LaunchContext, *, arguments: Dict[str, str]) -> List[Action]:
    """Starts the node again if it ended with the exit code that asks for a new process, or with any error.

    With the arguments that it had: the scope of a file that includes this one has ended, or has others by now.
    """
    needed = {"true": event.returncode == restart.EXIT_CODE, "always": event.returncode != 0}
    if context.is_shutdown or not needed.get(arguments["respawn"]):
        return []
    restored = OpaqueFunction(function=lambda scope: scope.launch_configurations.update(arguments))
    again = GroupAction([restored, OpaqueFunction(function=_segmentation_node)])
    return [
        LogInfo(msg=f"segmentation_node is started again in {restart.DELAY:.0f} s"),
        TimerAction(period=restart.DELAY, actions=[again]),
    ]


def _overrides(arguments: Dict[str, str]) -> Dict[str, Any]:
    """The parameters that arguments set; an empty argument does not override the parameter file."""
    engine = ("model", "device", "precision", "network_size", "class_map")
    overrides: Dict[str, Any] = {name: arguments[name] for name in engine if arguments[name]}
    if "model" in overrides and not Path(os.path.expanduser(overrides["model"])).is_file():
        raise FileNotFoundError(f"model must be a model file (.onnx), got {overrides['model']!r}, which does not exist")
    if arguments["cameras"]:
        overrides["cameras"] = _camera_names(arguments["cameras"])
    if arguments["compressed"]:
        overrides["transport"] = TRANSPORTS[arguments["compressed"]]
    if arguments["autostart"]:
        overrides["autostart"] = arguments["autostart"] == "true"
    return overrides


def _typed(value: Any) -> ParameterValue:
    """Keeps the value's type; launch_ros would read a string as YAML, and a model called 2024 as a number."""
    return ParameterValue(value, value_type=List[str] if isinstance(value, list) else type(value))


def _camera_names(text: str) -> List[str]:
    names = [name.strip() for name in text.split(",")]
    if not are_camera_names(names):
        raise BisenetError(f"cameras must be different names (letters, digits, _) separated by commas, got {text!r}")
    return names


def _remappings(topic: str, cameras: List[str], *, camera_namespace: str, is_rectified: bool) -> List[tuple]:
    """Remaps the image topics; the node finds `compressed` and `camera_info` beside them."""
    if camera_namespace and not TOPIC.fullmatch(camera_namespace):
        raise BisenetError(f"camera_namespace must be names (letters, digits, _) joined by /, got {camera_namespace!r}")
    if not topic and not camera_namespace and not is_rectified:
        return []
    if not topic:
        prefix = f"/{camera_namespace.strip('/')}" if camera_namespace else ""
        name = rectified_topic if is_rectified else image_topic
        return [(image_topic(camera), prefix + name(camera)) for camera in cameras]
    if not TOPIC.fullmatch(topic):
        raise BisenetError(f"image_topic must be names (letters, digits, _) joined by /, got {topic!r}")
    if topic.endswith("/compressed"):
        raise BisenetError(f"image_topic must be without /compressed, got {topic!r}; add compressed:=true instead")
    if is_rectified and topic.split("/")[-1] == "image_raw":
        raise BisenetError(
            f"with rectified:=true image_topic must be a topic of rectified images, such as "
            f"{topic[: -len('image_raw')]}image_rect, got {topic!r}"
        )
    if camera_namespace:
        raise BisenetError(
            f"image_topic is a whole name, got {topic!r} and camera_namespace {camera_namespace!r}; leave one out"
        )
    if len(cameras) > 1:
        raise BisenetError(
            f"image_topic is for one camera, got {topic!r} and the cameras {', '.join(cameras)}; "
            "leave it out, and name each camera so that /NAME/image_raw is its topic"
        )
    return [(image_topic(cameras[0]), topic)]
