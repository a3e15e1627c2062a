"""`ros2 launch bisenet_ros replay.launch.py bag:=FOLDER`: a bag through the node, and a window to watch it in."""

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

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

from bisenet_ros.files.package_share import package_file

CLOCK_RATE = 200
"""Hz of /clock: simulated time, and so every age of a frame, is known to 5 ms."""
DELAY = 1.0
"""Seconds for the player's topics to be found before its first message."""
POLL = 0.2
"""Seconds between two looks whether the node takes images."""
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
REMAPPING = re.compile(r"[\w/]+:=[\w/]+", re.ASCII)


@dataclass(frozen=True)
class Viewer:
    """A program to watch topics with: how it is started, its configuration, the ROS packages that it needs."""

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
            "view",
            default_value="rviz",
            choices=[*VIEWERS, "none"],
            description="What to watch in: camera, overlay and classes; rqt also shows the diagnostics.",
        ),
        DeclareLaunchArgument("rate", default_value="1.0", description="How many times as fast as it was recorded."),
        DeclareLaunchArgument(
            "loop", default_value="false", choices=["true", "false"], description="Whether to begin anew at the end."
        ),
        DeclareLaunchArgument(
            "start_paused",
            default_value="false",
            choices=["true", "false"],
            description="Whether to wait for `ros2 service call /rosbag2_player/resume rosbag2_interfaces/srv/Resume`.",
        ),
        DeclareLaunchArgument(
            "topics", default_value="", description="Only these topics of the bag, with commas; empty: all."
        ),
        DeclareLaunchArgument(
            "remap", default_value="", description="Other names for topics of the bag: old:=new, with commas."
        ),
    ]
    # The included file sets the DDS profile for the player too, which is the one that sends the large images.
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(package_file("launch/segment.launch.py"))))
    use_bag_time = SetParameter("use_sim_time", True)
    check, replay = OpaqueFunction(function=_check), OpaqueFunction(function=_replay)
    return LaunchDescription([*arguments, check, use_bag_time, node, replay])


def _check(context: LaunchContext) -> None:
    """Says what is wrong or missing before anything is started."""
    arguments = context.launch_configurations
    _require(("ros2bag",), "replaying a bag")
    if arguments["view"] != "none":
        _require(VIEWERS[arguments["view"]].packages, f"view:={arguments['view']}", advice=", or say view:=none")
    if not Path(arguments["bag"]).exists():
        raise FileNotFoundError(f"bag must be a bag's folder or file, got {arguments['bag']!r}, which does not exist")
    if not _is_above_0(arguments["rate"]):
        raise ValueError(f"rate must be a number above 0, got {arguments['rate']!r}")
    if not all(map(REMAPPING.fullmatch, _listed(arguments["remap"]))):
        raise ValueError(f"remap must be old:=new, several with commas between, got {arguments['remap']!r}")


def _replay(context: LaunchContext) -> List[Action]:
    """What runs beside the node; the included file's arguments have their values now."""
    actions = [RegisterEventHandler(OnProcessExit(on_exit=_end))]
    view = context.launch_configurations["view"]
    if view != "none":
        actions.append(_viewer(VIEWERS[view], context))
    waiting = LogInfo(msg="the bag waits until segmentation_node takes images")
    return [*actions, waiting, OpaqueFunction(function=_play_when_ready, args=[_player(context)])]


def _viewer(viewer: Viewer, context: LaunchContext) -> ExecuteProcess:
    configuration = _with_names(package_file(viewer.configuration), context)
    command = [*viewer.command, str(configuration), *viewer.arguments]
    return ExecuteProcess(name="viewer", cmd=command, output="screen")


def _player(context: LaunchContext) -> ExecuteProcess:
    arguments = context.launch_configurations
    # The keyboard belongs to launch, and the player's hints about keys would be wrong.
    command = ["ros2", "bag", "play", arguments["bag"], "--disable-keyboard-controls"]
    command += ["--clock", str(CLOCK_RATE), "--delay", str(DELAY), "--rate", arguments["rate"]]
    command += ["--loop"] if arguments["loop"] == "true" else []
    command += ["--start-paused"] if arguments["start_paused"] == "true" else []
    for option in ("topics", "remap"):
        names = _listed(arguments[option])
        command += [f"--{option}", *names] if names else []
    return ExecuteProcess(name="player", cmd=command, output="screen")


def _is_above_0(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _listed(text: str) -> List[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _require(packages: Tuple[str, ...], purpose: str, *, advice: str = "") -> None:
    missing = [package for package in packages if package not in get_packages_with_prefixes()]
    if not missing:
        return
    distribution = os.environ.get("ROS_DISTRO", "jazzy")
    debian = " ".join(f"ros-{distribution}-{package.replace('_', '-')}" for package in missing)
    raise ModuleNotFoundError(
        f"{purpose} needs {', '.join(missing)}, which is not installed; `sudo apt install {debian}`{advice}"
    )


def _with_names(configuration: Path, context: LaunchContext) -> Path:
    """A copy of a viewer's configuration with the topics that the arguments name, beside launch's logs."""
    arguments = context.launch_configurations
    cameras = _listed(arguments["cameras"])
    namespace = "/" + arguments["namespace"].strip("/")
    outputs = "/".join([namespace.rstrip("/"), *cameras[:1] * (len(cameras) > 1)])
    image = arguments["image_topic"] or f"/{(cameras or ['camera'])[0]}/image_raw"
    if not image.startswith("/"):
        image = f"{namespace.rstrip('/')}/{image}"
    text = configuration.read_text().replace("/segmentation/", f"{outputs}/").replace("/camera/image_raw", image)
    copy = Path(launch.logging.launch_config.log_dir) / configuration.name
    copy.write_text(text)
    return copy


def _play_when_ready(context: LaunchContext, player: ExecuteProcess) -> List[Action]:
    """The player once the node takes images, which on a GPU may be minutes after its start; else another look."""
    if _takes_images(get_ros_node(context), context.launch_configurations["namespace"]):
        return [player]
    return [TimerAction(period=POLL, actions=[OpaqueFunction(function=_play_when_ready, args=[player])])]


def _takes_images(observer: Node, namespace: str) -> bool:
    namespace = "/" + namespace.strip("/")
    if ("segmentation_node", namespace) not in observer.get_node_names_and_namespaces():
        return False
    topics = observer.get_subscriber_names_and_types_by_node("segmentation_node", namespace)
    return any(name in IMAGE_TYPES for _, types in topics for name in types)


def _end(event: ProcessExited, context: LaunchContext) -> Optional[Action]:
    """Without its bag or its node a replay is over; a window may be closed."""
    name = event.process_name.rsplit("-", 1)[0]
    if name == "viewer" or context.is_shutdown:
        return None
    if event.returncode:
        raise RuntimeError(f"{name} ended with {event.returncode}, and with it the replay")
    return Shutdown(reason=f"{name} has ended")
