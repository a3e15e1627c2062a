# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A camera's name, and the names of the topics that follow from it."""

import re
from typing import Any, Dict, Sequence

from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node

RAW, RECTIFIED = "image_raw", "image_rect"
"""The last part of the name of a topic of images as they come from the camera, and of rectified ones."""
CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
"""The type of the images' topic, by transport."""
COMPRESSED_SUFFIX = "/compressed"
"""What image_transport appends to the images' topic for its compressed topic."""


def are_camera_names(names: Any) -> bool:
    """Whether this is a list of one or more different names of letters, digits and _."""
    if not isinstance(names, list) or not names:
        return False
    if not all(isinstance(name, str) and CAMERA_NAME.fullmatch(name) for name in names):
        return False
    return len(set(names)) == len(names)


def image_topic(camera: str) -> str:
    """The topic of the camera's raw images, before remapping."""
    return f"/{camera}/{RAW}"


def rectified_topic(camera: str) -> str:
    """The topic of the same images rectified, by image_proc's rectify_node in the camera's namespace."""
    return f"/{camera}/{RECTIFIED}"


def rectified_instead(images: str) -> str:
    """The topic of rectified images beside one of raw images, by its name; empty where its name is another."""
    return images[: -len(RAW)] + RECTIFIED if images.split("/")[-1] == RAW else ""


def compressed_topic(images: str) -> str:
    """The topic on which image_transport publishes the same images compressed."""
    return f"{images}{COMPRESSED_SUFFIX}"


def camera_info_topic(images: str) -> str:
    """The topic of the camera's calibration, in the namespace of its images as image_transport expects."""
    return images.rsplit("/", 1)[0] + "/camera_info"


def camera_inputs(node: Node, camera: str) -> Dict[str, str]:
    """The names, before remapping, of a camera's topics "raw", "compressed" and "camera_info".

    The last two are beside the images, wherever those are remapped to, unless they are remapped themselves.
    """
    images = image_topic(camera)
    remapped, topics = resolve_topic(node, images), {"raw": images}
    for name, beside in (("compressed", compressed_topic), ("camera_info", camera_info_topic)):
        own = beside(images)
        topics[name] = beside(remapped) if resolve_topic(node, own) == own else own
    return topics


def output_prefix(camera: str, cameras: Sequence[str]) -> str:
    """What precedes the names of the camera's output topics: "front/" where there are several cameras, else nothing."""
    return f"{camera}/" if len(cameras) > 1 else ""


def resolve_topic(node: Node, topic: str) -> str:
    """The topic's full name after remapping; on Foxy, whose rclpy does not tell it, the name before remapping."""
    if hasattr(node, "resolve_topic_name"):
        return node.resolve_topic_name(topic)
    return expand_topic_name(topic, node.get_name(), node.get_namespace())
