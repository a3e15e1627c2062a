"""`ros2 launch bisenet_ros segment.launch.py`: the node, with everything at its default."""

import re
from pathlib import Path
from typing import Any, Dict, Iterator, List

import yaml
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from bisenet_ros.engines.loader import DEVICES, PRECISIONS
from bisenet_ros.files.package_share import package_file
from bisenet_ros.node.fastdds import shared_memory_environment

CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NAMESPACE = re.compile(r"/|/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
TRANSPORTS = {"auto": "auto", "true": "compressed", "false": "raw"}
UNSET = "empty: what params_file says"


def generate_launch_description() -> LaunchDescription:
    arguments = [
        DeclareLaunchArgument(
            "model",
            default_value="",
            description=f"Model file (.onnx) with its card inside; {UNSET}, else the shipped one.",
        ),
        DeclareLaunchArgument(
            "cameras",
            default_value="",
            description=f"Names of the cameras, with commas; NAME is read from /NAME/image_raw; {UNSET}, else camera.",
        ),
        DeclareLaunchArgument(
            "image_topic",
            default_value="",
            description="Another sensor_msgs/Image topic for the one camera; empty: /NAME/image_raw.",
        ),
        DeclareLaunchArgument(
            "compressed",
            default_value="",
            choices=["", *TRANSPORTS],
            description=f"Whether to read IMAGE_TOPIC/compressed (JPEG, PNG); auto: what is published; {UNSET}.",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="",
            choices=["", *DEVICES],
            description=f"Where the network runs; {UNSET}.",
        ),
        DeclareLaunchArgument(
            "precision",
            default_value="",
            choices=["", *PRECISIONS],
            description=f"What the network computes in; {UNSET}.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="",
            choices=["", "true", "false"],
            description=f"Whether the node configures and activates itself; {UNSET}.",
        ),
        DeclareLaunchArgument(
            "namespace",
            default_value="segmentation",
            description="Namespace of the node and of its topics; / for none.",
        ),
        DeclareLaunchArgument(
            "params_file",
            default_value=str(package_file("config/segment.yaml")),
            description="YAML file with the node's parameters.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="The least severe messages that are logged.",
        ),
    ]
    # Without the shared-memory profile most large images are lost; a profile of the user's own is left alone.
    environment = [SetEnvironmentVariable(name, value) for name, value in shared_memory_environment().items()]
    return LaunchDescription([*arguments, *environment, OpaqueFunction(function=_segmentation_node)])


def _segmentation_node(context: LaunchContext) -> List[Node]:
    """The node's action; only here are the arguments' values known."""
    names = ("image_topic", "namespace", "params_file", "log_level")
    image_topic, namespace, params_file, log_level = (LaunchConfiguration(name).perform(context) for name in names)
    if not NAMESPACE.fullmatch(namespace):
        raise ValueError(f"namespace must be names (letters, digits, _) joined by /, or / for none, got {namespace!r}")
    in_file = _parameters_in(params_file)
    overrides = _overrides(context)
    cameras = overrides.get("cameras") or in_file.get("cameras") or ["camera"]
    # A plain Node: this one configures and activates itself, with `autostart` or at a lifecycle manager's request, and
    # launch_ros's LifecycleNode would only add a ROS node to launch. It also suits Galactic, which has no lifecycle.
    node = Node(
        package="bisenet_ros",
        executable="segmentation_node",
        name="segmentation_node",
        namespace=namespace,
        parameters=[params_file, {name: _as_given(value) for name, value in overrides.items()}],
        remappings=_remappings(image_topic, cameras),
        arguments=["--ros-args", "--log-level", log_level],
        output="screen",
        emulate_tty=True,
    )
    return [node]


def _overrides(context: LaunchContext) -> Dict[str, Any]:
    """The parameters that arguments set; an empty argument must not override the parameter file."""
    names = ("model", "cameras", "compressed", "device", "precision", "autostart")
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    overrides: Dict[str, Any] = {name: value for name, value in given.items() if value}
    if "model" in overrides and not Path(overrides["model"]).is_file():
        raise FileNotFoundError(f"model must be a model file (.onnx), got {overrides['model']!r}, which does not exist")
    if "cameras" in overrides:
        overrides["cameras"] = _camera_names(overrides["cameras"])
    if "compressed" in overrides:
        overrides["transport"] = TRANSPORTS[overrides.pop("compressed")]
    if "autostart" in overrides:
        overrides["autostart"] = overrides["autostart"] == "true"
    return overrides


def _as_given(value: Any) -> ParameterValue:
    """launch_ros would read texts as YAML, and make a number of a model called 2024."""
    return ParameterValue(value, value_type=List[str] if isinstance(value, list) else type(value))


def _camera_names(text: str) -> List[str]:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not all(map(CAMERA_NAME.fullmatch, names)):
        raise ValueError(f"cameras must be different names (letters, digits, _) with commas between, got {text!r}")
    return names


def _remappings(image_topic: str, cameras: List[str]) -> List[tuple]:
    """Of the images alone: the node looks for `compressed` and `camera_info` beside wherever they are."""
    if not image_topic:
        return []
    if not TOPIC.fullmatch(image_topic):
        raise ValueError(f"image_topic must be names (letters, digits, _) joined by /, got {image_topic!r}")
    if image_topic.endswith("/compressed"):
        raise ValueError(f"image_topic must be without /compressed, got {image_topic!r}; say compressed:=true instead")
    if len(cameras) > 1:
        raise ValueError(
            f"image_topic is for one camera, got {image_topic!r} and the cameras {', '.join(cameras)}; "
            "leave it out, and name each camera so that /NAME/image_raw is its topic"
        )
    return [(f"/{cameras[0]}/image_raw", image_topic)]


def _parameters_in(params_file: str) -> Dict[str, Any]:
    """What a parameter file sets for the node, as far as launch has to know."""
    expected = "params_file must be a YAML file with the node's parameters"
    if not Path(params_file).is_file():  # launch would only warn, and start the node without it
        raise FileNotFoundError(f"{expected}, got {params_file!r}")
    try:
        tree = yaml.safe_load(Path(params_file).read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{expected}, got {params_file!r}: {' '.join(str(error).split())}") from None
    return {name: value for section in _sections(tree) for name, value in section.items()}


def _sections(tree: Any) -> Iterator[Dict[str, Any]]:
    """The `ros__parameters` that hold for a node called segmentation_node."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        own = value.get("ros__parameters") if isinstance(value, dict) else None
        if isinstance(own, dict) and str(key).rsplit("/", 1)[-1] in ("*", "**", "segmentation_node"):
            yield own
        yield from _sections(value)
