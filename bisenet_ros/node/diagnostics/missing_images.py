"""Why no image arrives: what ROS knows of a topic's publishers, in words that say what to do."""

from __future__ import annotations

from typing import List

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from bisenet_ros.node import qos
from bisenet_ros.node.camera_subscription import TYPE_NAMES, CameraSubscription
from bisenet_ros.node.fastdds import PROFILE_VARIABLES

CURE = (
    f"start the driver with {PROFILE_VARIABLES[0]} ({PROFILE_VARIABLES[1]} from Kilted on) set to bisenet_ros's "
    "config/fastdds_shared_memory.xml, or let it publish reliably"
)
"""What keeps large images from being lost; the sender's profile decides."""


def explain_silence(node: Node, subscription: CameraSubscription) -> str:
    """Whether nobody publishes, or what keeps the images of those who do."""
    topic, expected = subscription.topic, TYPE_NAMES[subscription.transport]
    publishers = subscription.publishers()
    if not publishers:
        return f"nobody publishes it{_other_images(node, topic)}"
    others = sorted({info.topic_type for info in publishers} - {expected})
    publishers = [info for info in publishers if info.topic_type == expected]
    if not publishers:
        return f"it is published as {', '.join(others)}, expected {expected}"
    for info in publishers:
        problem = qos.mismatch(info.qos_profile, subscription.profile)
        if problem:
            return (
                f"the QoS of {_name(info)} does not match: {problem} (it offers {qos.in_words(info.qos_profile)}); "
                "set the parameter reliability to auto, or change qos_overrides"
            )
    names = ", ".join(map(_name, publishers))
    if any(info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT for info in publishers):
        return (
            f"{names} publishes it, best effort: it sends nothing, or its images are lost in transport; if so, {CURE}"
        )
    return f"{names} publishes it, but sends nothing"


def _name(info: object) -> str:
    namespace, name = info.node_namespace, info.node_name  # type: ignore[attr-defined]
    return f"{namespace.rstrip('/')}/{name}"


def _other_images(node: Node, topic: str) -> str:
    """The image topics that are published instead, for whoever has mistyped one."""
    topics: List[str] = [
        name
        for name, kinds in node.get_topic_names_and_types()
        if name != topic and set(kinds) & set(TYPE_NAMES.values()) and _is_a_cameras(node, name)
    ]
    return f"; images are published on {', '.join(sorted(topics)[:5])}" if topics else ""


def _is_a_cameras(node: Node, topic: str) -> bool:
    """Whether somebody else than this node publishes it."""
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:  # a name that is remapped here is another's; DDS knows it as it is
        publishers = node.get_publishers_info_by_topic(f"rt{topic}", no_mangle=True)
    return any(_name(info) != node.get_fully_qualified_name() for info in publishers)
