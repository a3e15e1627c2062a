# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bisenet_ros replay.launch.py bag:=FOLDER`: plays a bag through the node, and opens a viewer."""

import os
import re
from functools import partial
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

import launch.logging
from ament_index_python.packages import get_packages_with_prefixes
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import SetParameter
from launch_ros.ros_adapters import get_ros_node
from rclpy.node import Node

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.package_share import package_file
from bisenet_ros.node.camera_topics import TYPE_NAMES, output_prefix
from bisenet_ros.node.fastdds import PROFILE_VARIABLES
from bisenet_ros.node.launch_arguments import full_namespace, image_topics

CLOCK_RATE = 200
"""Hz of /clock; frame ages by simulated time are accurate to 5 ms."""
PLAYER_DELAY = 1.0
"""Seconds between the player's start and its first message, for its topics to be discovered."""
POLL_PERIOD = 0.2
"""Seconds between two checks whether the node has subscribed to images."""
NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
REMAPPING = re.compile(r"[\w/]+:=[\w/]+", re.ASCII)
optional = partial(DeclareLaunchArgument, default_value="")
flag = partial(DeclareLaunchArgument, default_value="false", choices=["true", "false"])


class Viewer(NamedTuple):
    """A program that shows topics: its command, its configuration, the ROS packages that it needs."""

    command: Tuple[str, ...]
    configuration: str
    packages: Tuple[str, ...]
    arguments: Tuple[str, ...] = ()


VIEWERS = {
    "rviz": Viewer(
        ("rviz2", "--display-config"), "config/segment.rviz", ("rviz2",), ("--ros-args", "-p", "use_sim_time:=true")
    ),
    "rqt": Viewer(
        ("rqt", "--perspective-file"),
        "config/segment.perspective",
        ("rqt_gui", "rqt_image_view", "rqt_runtime_monitor"),
    ),
}


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument("bag", description="The bag to replay: its folder, or its .mcap or .db3 file."),
        DeclareLaunchArgument(
            "view", default_value="rviz", choices=[*VIEWERS, "none"], description="Viewer; rqt also shows diagnostics."
        ),
        DeclareLaunchArgument("rate", default_value="1.0", description="Playback rate; 1 is that of the recording."),
        flag("loop", description="Whether to play the bag again at its end."),
        flag(
            "start_paused",
            description="Whether to wait for `ros2 service call /rosbag2_player/resume rosbag2_interfaces/srv/Resume`.",
        ),
        optional("topics", description="Play only these topics, separated by commas; empty: all."),
        optional("remap", description="Remappings of the bag's topics, old:=new, separated by commas."),
    ]
    # The included file sets the DDS profile for the player too, which sends the large images.
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(package_file("launch/segment.launch.py"))))
    use_bag_time = SetParameter("use_sim_time", True)
    check, replay = OpaqueFunction(function=_check), OpaqueFunction(function=_replay)
    return LaunchDescription([*arguments, check, use_bag_time, node, replay])


def _check(context: LaunchContext) -> None:
    """Raises an error for a wrong argument or a missing package, before anything is started."""
    arguments = context.launch_configurations
    _require_packages(("ros2bag",), "replaying a bag")
    if arguments["view"] != "none":
        _require_packages(
            VIEWERS[arguments["view"]].packages, f"view:={arguments['view']}", advice=", or use view:=none"
        )
    if not Path(arguments["bag"]).exists():
        raise FileNotFoundError(f"bag must be a bag's folder or file, got {arguments['bag']!r}, which does not exist")
    if not NUMBER.fullmatch(arguments["rate"]) or not float(arguments["rate"]):
        raise BisenetError(f"rate must be a number above 0, got {arguments['rate']!r}")
    if not all(map(REMAPPING.fullmatch, _split(arguments["remap"]))):
        raise BisenetError(f"remap must be old:=new, several separated by commas, got {arguments['remap']!r}")


def _replay(context: LaunchContext) -> List[Action]:
    """The viewer and the player; runs after the included file, so that its arguments have values."""
    actions = [RegisterEventHandler(OnProcessExit(on_exit=_end))]
    view = context.launch_configurations["view"]
    if view != "none":
        viewer = VIEWERS[view]
        command = [*viewer.command, str(_with_topics(viewer.configuration, context)), *viewer.arguments]
        actions.append(ExecuteProcess(name="viewer", cmd=command, output="screen"))
    waiting = LogInfo(msg="playback starts when segmentation_node has subscribed to images")
    start = partial(_play_when_ready, player=_player(context), namespace=full_namespace(context.launch_configurations))
    return [*actions, waiting, OpaqueFunction(function=start)]


def _player(context: LaunchContext) -> ExecuteProcess:
    arguments = context.launch_configurations
    # The player would print hints for keys, but launch does not pass its keyboard on.
    command = ["ros2", "bag", "play", arguments["bag"], "--disable-keyboard-controls"]
    command += ["--clock", str(CLOCK_RATE), "--delay", str(PLAYER_DELAY), "--rate", arguments["rate"]]
    command += ["--loop"] if arguments["loop"] == "true" else []
    command += ["--start-paused"] if arguments["start_paused"] == "true" else []
    for option in ("topics", "remap"):
        names = _split(arguments[option])
        command += [f"--{option}", *names] if names else []
    # When it starts, the scope of a file that includes this one has ended, and what was set in it.
    profile = {name: value for name, value in context.environment.items() if name in PROFILE_VARIABLES}
    return ExecuteProcess(name="player", cmd=command, output="screen", additional_env=profile)


def _split(text: str) -> List[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _require_packages(packages: Tuple[str, ...], purpose: str, *, advice: str = "") -> None:
    missing = [package for package in packages if package not in get_packages_with_prefixes()]
    if not missing:
        return
    distribution = os.environ.get("ROS_DISTRO", "jazzy")
    debian = " ".join(f"ros-{distribution}-{package.replace('_', '-')}" for package in missing)
    raise ModuleNotFoundError(
        f"{purpose} needs {', '.join(missing)}, which is not installed; `sudo apt install {debian}`{advice}"
    )


def _with_topics(configuration: str, context: LaunchContext) -> Path:
    """A copy of a viewer's configuration in launch's log folder, with the topics that the arguments name."""
    namespace = full_namespace(context.launch_configurations).rstrip("/")
    topics = image_topics(context.launch_configurations)
    camera, image = next(iter(topics.items()))
    if not image.startswith("/"):
        image = f"{namespace}/{image}"
    outputs = f"{namespace}/{output_prefix(camera, list(topics))}"
    original = package_file(configuration)
    copy = Path(launch.logging.launch_config.log_dir) / original.name
    copy.write_text(original.read_text().replace("/segmentation/", outputs).replace("/camera/image_raw", image))
    return copy


def _play_when_ready(context: LaunchContext, *, player: ExecuteProcess, namespace: str) -> List[Action]:
    """Starts the player once the node has subscribed to images, and until then checks again after POLL_PERIOD."""
    if _is_subscribed(get_ros_node(context), namespace):
        return [player]
    again = OpaqueFunction(function=partial(_play_when_ready, player=player, namespace=namespace))
    return [TimerAction(period=POLL_PERIOD, actions=[again])]


def _is_subscribed(observer: Node, namespace: str) -> bool:
    if ("segmentation_node", namespace) not in observer.get_node_names_and_namespaces():
        return False
    topics = observer.get_subscriber_names_and_types_by_node("segmentation_node", namespace)
    return any(name in TYPE_NAMES.values() for _, types in topics for name in types)


def _end(event: ProcessExited, context: LaunchContext) -> Optional[Action]:
    """Ends the replay with the player or the node; the viewer may be closed earlier."""
    name = event.process_name.rsplit("-", 1)[0]
    if name == "viewer" or context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"{name} ended with {event.returncode}, which ends the replay")
    return Shutdown(reason=f"{name} has ended")
