# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's namespace, cameras and image topics, by the arguments of segment.launch.py."""

import re
from typing import Any, Dict, List, Mapping

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.camera_topics import are_camera_names, image_topic, rectified_instead, rectified_topic
from bisenet_ros.node.parameter_definitions import DEFINITIONS, camera_definitions
from bisenet_ros.node.parameter_file import read_parameter_file

TOPIC = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)
Arguments = Mapping[str, str]
"""launch's configurations: the arguments' values, and `ros_namespace` below PushRosNamespace."""


def full_namespace(arguments: Arguments) -> str:
    """The absolute name of the node's namespace, / for none; raises BisenetError if the argument is no name."""
    namespace = arguments["namespace"]
    if namespace != "/" and not TOPIC.fullmatch(namespace):
        raise BisenetError(
            f"namespace must be names (letters, digits, _) joined by /, or / for none, got {namespace!r}"
        )
    pushed = "" if namespace.startswith("/") else arguments.get("ros_namespace", "")
    return "/" + f"{pushed}/{namespace}".strip("/")


def camera_names(arguments: Arguments) -> List[str]:
    """The cameras that the argument names, else those of the parameter file.

    Raises:
        BisenetError: the argument has no camera names, or the parameter file is no YAML.
        FileNotFoundError: there is no parameter file.
    """
    text = arguments["cameras"]
    if not text:
        named: Any = _parameters_in_file(arguments).get("cameras")
        return named if are_camera_names(named) else ["camera"]  # the node refuses other names that a file has
    names = [name.strip() for name in text.split(",")]
    if not are_camera_names(names):
        raise BisenetError(f"cameras must be different names (letters, digits, _) separated by commas, got {text!r}")
    return names


def _parameters_in_file(arguments: Arguments) -> Dict[str, Any]:
    node = f"{full_namespace(arguments).rstrip('/')}/segmentation_node"
    return read_parameter_file(arguments["params_file"], node)


def image_topics(arguments: Arguments) -> Dict[str, str]:
    """The topic of each camera's images, by the camera's name; without / at its begin it is relative to the namespace.

    Raises:
        BisenetError: as `camera_names`; or the arguments are no names, or contradict each other.
        FileNotFoundError: there is no parameter file.
    """
    cameras, topic, camera_namespace = camera_names(arguments), arguments["image_topic"], arguments["camera_namespace"]
    in_file, given = _parameters_in_file(arguments), arguments["rectified"]
    is_rectified = {name: given == "true" if given else in_file.get(f"{name}.rectified") is True for name in cameras}
    if camera_namespace and not TOPIC.fullmatch(camera_namespace):
        raise BisenetError(f"camera_namespace must be names (letters, digits, _) joined by /, got {camera_namespace!r}")
    if not topic:
        prefix = f"/{camera_namespace.strip('/')}" if camera_namespace else ""
        names = {camera: rectified_topic if is_rectified[camera] else image_topic for camera in cameras}
        return {camera: prefix + name(camera) for camera, name in names.items()}
    if not TOPIC.fullmatch(topic):
        raise BisenetError(f"image_topic must be names (letters, digits, _) joined by /, got {topic!r}")
    if topic.endswith("/compressed"):
        raise BisenetError(f"image_topic must be without /compressed, got {topic!r}; add compressed:=true instead")
    if any(is_rectified.values()) and rectified_instead(topic):
        raise BisenetError(
            f"with rectified:=true, or NAME.rectified in params_file, image_topic must be a topic of rectified images, "
            f"such as {rectified_instead(topic)}, got {topic!r}"
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
    return {cameras[0]: topic}


def given_parameters(arguments: Arguments) -> List[str]:
    """The arguments that are called as parameters of the node; raises what `camera_names` does."""
    of_cameras = [definition for camera in camera_names(arguments) for definition in camera_definitions(camera)]
    return [definition.name for definition in (*DEFINITIONS, *of_cameras) if definition.name in arguments]
