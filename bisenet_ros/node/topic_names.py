"""What a topic is called after remapping."""

from __future__ import annotations

from rclpy.expand_topic_name import expand_topic_name
from rclpy.node import Node


def resolve(node: Node, topic: str) -> str:
    """The topic's full name; on Foxy, which does not tell it, that before remapping."""
    if hasattr(node, "resolve_topic_name"):
        return node.resolve_topic_name(topic)
    return expand_topic_name(topic, node.get_name(), node.get_namespace())
