# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: overrides by parameters, and why a publisher and a subscription do not match."""

import re
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Optional, Union

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.camera_topics import resolve_topic

OVERRIDES = (
    "qos_overrides.TOPIC.ENTITY.POLICY, where ENTITY is publisher or subscription, and POLICY is history, depth, "
    "durability or reliability"
)
OVERRIDE = re.compile(r"qos_overrides\.(?P<topic>.+)\.(publisher|subscription)\.(history|depth|durability|reliability)")
"""Matches names of `qos_overrides` parameters, which are declared when their publisher or subscription is created."""
LATE_TOPICS = ("/clock", "/tf", "/tf_static")
"""To which rclpy and tf2 may subscribe later, with overrides of their own."""

try:
    from rclpy.qos_overriding_options import QoSOverridingOptions
except ImportError:  # Foxy
    QoSOverridingOptions = None  # type: ignore[assignment, misc]


def create_publisher(node: Node, message_type: Any, topic: str, profile: Union[QoSProfile, int]) -> Publisher:
    """A publisher with the parameters `qos_overrides.<topic>.publisher.<policy>`; BisenetError if they are invalid."""
    with _naming_parameters(node, topic, "publisher"):
        return node.create_publisher(message_type, topic, profile, **_override_options())


def create_subscription(
    node: Node, message_type: Any, topic: str, *arguments: Any, reliability: bool = True, **options: Any
) -> Subscription:
    """A subscription with the parameters `qos_overrides.<topic>.subscription.<policy>`; BisenetError as above.

    Args:
        arguments, options: of rclpy's create_subscription.
        reliability: whether there is a parameter for the reliability too.
    """
    with _naming_parameters(node, topic, "subscription"):
        options.update(_override_options(reliability=reliability))
        return node.create_subscription(message_type, topic, *arguments, **options)


def _override_options(*, reliability: bool = True) -> Dict[str, Any]:
    """Arguments for create_publisher and create_subscription that declare `qos_overrides` parameters."""
    if QoSOverridingOptions is None:
        return {}
    policies = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY]
    policies += [QoSPolicyKind.RELIABILITY] if reliability else []
    return {"qos_overriding_options": QoSOverridingOptions(policies)}


@contextmanager
def _naming_parameters(node: Node, topic: str, entity: str) -> Iterator[None]:
    """Makes errors of rclpy name the `qos_overrides` parameters; `entity` is "publisher" or "subscription"."""
    try:
        yield
    except ParameterException:  # names the parameter
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        name = f"qos_overrides.{resolve_topic(node, topic)}.{entity}"
        raise BisenetError(
            f"could not create the {entity}: {reason}; check the parameters {name}.*, which are read once, at the start"
        ) from error


def mismatch(offered: QoSProfile, requested: QoSProfile) -> Optional[str]:
    """Why a subscription gets nothing from a publisher; None if they match."""
    if offered.reliability == ReliabilityPolicy.BEST_EFFORT and requested.reliability == ReliabilityPolicy.RELIABLE:
        return "it offers best effort, reliable is requested"
    if offered.durability == DurabilityPolicy.VOLATILE and requested.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        return "it offers volatile, transient local is requested"
    return None


def describe(profile: QoSProfile) -> str:
    """The policies that decide whether images arrive, such as "best effort, volatile"."""
    return f"{profile.reliability.name}, {profile.durability.name}".lower().replace("_", " ")
