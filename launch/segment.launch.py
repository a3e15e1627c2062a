# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bisenet_ros segment.launch.py`: starts the segmentation node."""

import os
from functools import partial
from pathlib import Path
from typing import Any, Collection, Dict, List

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

from bisenet_ros.files.package_share import package_file
from bisenet_ros.node import restart
from bisenet_ros.node.camera_topics import image_topic
from bisenet_ros.node.fastdds import shared_memory_environment
from bisenet_ros.node.launch_arguments import full_namespace, given_parameters, image_topics

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
        optional(
            "use_sim_time",
            choices=["", "true", "True", "false", "False"],  # Nav2's launch files write True
            description=f"Whether time is that of /clock, as of a simulator or a bag that is played; {UNSET}.",
        ),
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
    check = OpaqueFunction(function=_warn_of_parameters, kwargs={"declared": [it.name for it in arguments]})
    return LaunchDescription([*arguments, *environment, check, OpaqueFunction(function=_segmentation_node)])


def _warn_of_parameters(context: LaunchContext, *, declared: Collection[str]) -> None:
    """Warns where a parameter is given that is no argument: launch itself ignores arguments that no file declares."""
    given = given_parameters(context.launch_configurations)
    for name in [name for name in given if name not in declared]:
        launch.logging.get_logger("segment.launch.py").warning(
            f"{name}:={context.launch_configurations[name]} has no effect: {name} is a parameter of the node and no "
            "argument of this file; set it in a parameter file, params_file:=FILE"
        )


def _segmentation_node(context: LaunchContext) -> List[Action]:
    """The actions that start the node, made once launch knows the arguments' values."""
    arguments = dict(context.launch_configurations)
    namespace, topics = full_namespace(arguments), image_topics(arguments)
    overrides = _overrides(arguments)
    if arguments["cameras"]:
        overrides["cameras"] = list(topics)
    if arguments["rectified"]:
        overrides.update({f"{camera}.rectified": arguments["rectified"] == "true" for camera in topics})
    parameters = os.path.expanduser(arguments["params_file"])
    faults = restart.fault_log(Path(launch.logging.launch_config.log_dir), namespace)
    # Not launch_ros's LifecycleNode: launch sends no transitions here, and Galactic's rclpy has no lifecycle.
    node = Node(
        package="bisenet_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=namespace,
        parameters=[parameters, {name: _typed(value) for name, value in overrides.items()}],
        remappings=[(image_topic(camera), topic) for camera, topic in topics.items() if topic != image_topic(camera)],
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
    if arguments["compressed"]:
        overrides["transport"] = TRANSPORTS[arguments["compressed"]]
    flags = ("autostart", "use_sim_time")
    overrides.update({name: arguments[name].lower() == "true" for name in flags if arguments[name]})
    return overrides


def _typed(value: Any) -> ParameterValue:
    """Keeps the value's type; launch_ros would read a string as YAML, and a model called 2024 as a number."""
    return ParameterValue(value, value_type=List[str] if isinstance(value, list) else type(value))
