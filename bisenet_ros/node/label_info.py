# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Publishes the classes' names as vision_msgs/LabelInfo, which Nav2's semantic segmentation layer reads."""

from typing import Optional

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile

from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.node import qos

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # the parameter class_names has the names too
    LabelInfo = VisionClass = None


def latched_profile() -> QoSProfile:
    """The QoS of `label_info`, made again each time: rclpy writes the overrides of a node into it."""
    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def publish_label_info(node: Node, classes: ClassMap) -> Optional[Publisher]:
    """Publishes `label_info` once, latched; returns None where vision_msgs 4 is not installed."""
    if LabelInfo is None:
        return None
    publisher = qos.create_publisher(node, LabelInfo, "label_info", latched_profile())
    message = LabelInfo(class_map=[VisionClass(class_id=i, class_name=name) for i, name in enumerate(classes.names)])
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
    return publisher
