# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Why no image arrives from a camera: what ROS knows of the topic's publishers, and what to do."""

from typing import Any, Sequence

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from bisenet_ros.node import qos
from bisenet_ros.node.camera_subscription import CameraSubscription
from bisenet_ros.node.camera_topics import COMPRESSED_SUFFIX, TYPE_NAMES, compressed_topic
from bisenet_ros.node.fastdds import other_middleware, profile_variable

UNKNOWN_NODE = "_NODE_NAME_UNKNOWN_"
"""rcl's name for a node of which discovery knows a publisher but not yet the name."""
LOSS_REMEDY = (
    "let the driver publish reliably"
    if other_middleware()
    else f"start the driver with {profile_variable()} set to bisenet_ros's config/fastdds_shared_memory.xml, or let it "
    "publish reliably"
)
"""How to keep large images from being lost in transport; the profile of the sender decides."""


def explain_missing_images(node: Node, subscription: CameraSubscription) -> str:
    """Whether nobody publishes the topic, or why the images of its publishers do not arrive."""
    assert subscription.profile is not None
    topic, expected = subscription.topic, TYPE_NAMES[subscription.transport]
    publishers = subscription.publishers(subscription.transport)
    if not publishers:
        return f"nobody publishes it{_other_image_topics(node, topic)}"
    others = sorted({info.topic_type for info in publishers} - {expected})
    publishers = [info for info in publishers if info.topic_type == expected]
    if not publishers:
        return f"it is published as {', '.join(others)}, expected {expected}{_remedy_for_type(topic, others)}"
    for info in publishers:
        problem = qos.mismatch(info.qos_profile, subscription.profile)
        if problem:
            offer = qos.describe(info.qos_profile)
            return (
                f"the QoS of {publisher_name(info)} does not match: {problem} (it offers {offer}); "
                "set the parameter reliability to auto, or change qos_overrides"
            )
    names = ", ".join(map(publisher_name, publishers))
    if any(info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for info in publishers):
        return (
            f"{names} publishes it as best effort: either it sends no image now, or its images are lost in transport; "
            f"in that case {LOSS_REMEDY}"
        )
    return f"{names} publishes it, but sends no image now"


def _remedy_for_type(topic: str, types: Sequence[str]) -> str:
    """What to do about a compressed topic that was named as the raw one."""
    if TYPE_NAMES["compressed"] not in types:
        return ""
    images = topic[: -len(COMPRESSED_SUFFIX)] if topic.endswith(COMPRESSED_SUFFIX) else ""
    if images:
        return f"; name the topic without {COMPRESSED_SUFFIX}, {images}: the node appends that itself"
    return f"; compressed images must be published on {compressed_topic(topic)}: rename (remap) the driver's topic"


def publisher_name(info: Any) -> str:
    """The node's full name, or words where discovery has not learned it yet."""
    if info.node_name.startswith(UNKNOWN_NODE):
        return "a node that has not told its name yet"
    return f"{info.node_namespace.rstrip('/')}/{info.node_name}"


def _other_image_topics(node: Node, topic: str) -> str:
    """The image topics that other nodes publish, in case the topic's name is misspelled."""
    topics = [
        name
        for name, types in node.get_topic_names_and_types()
        if name != topic and set(types) & set(TYPE_NAMES.values()) and _has_other_publisher(node, name)
    ]
    return f"; images are published on {', '.join(sorted(topics)[:5])}" if topics else ""


def _has_other_publisher(node: Node, topic: str) -> bool:
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:  # the node remaps this name; asked for the DDS name, rclpy does not remap it
        publishers = node.get_publishers_info_by_topic(f"rt{topic}", no_mangle=True)
    return any(publisher_name(info) != node.get_fully_qualified_name() for info in publishers)
