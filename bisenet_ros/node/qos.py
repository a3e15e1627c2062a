"""Quality of service: what people may override in a parameter file, and what does not match."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Dict, Iterator, Optional, Tuple, Union

from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy

from bisenet_ros.node import topic_names

HAS_OVERRIDES = find_spec("rclpy.qos_overriding_options") is not None  # not on Foxy
if HAS_OVERRIDES:
    from rclpy.qos_overriding_options import QoSOverridingOptions

BASIC: Tuple[QoSPolicyKind, ...] = ()
if HAS_OVERRIDES:
    BASIC = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.DURABILITY)
ALL: Tuple[QoSPolicyKind, ...] = (*BASIC, QoSPolicyKind.RELIABILITY)


def create_publisher(node: Node, kind: Any, topic: str, profile: Union[QoSProfile, int]) -> Publisher:
    """A publisher with the parameters `qos_overrides.<topic>.publisher.<policy>`.

    Raises:
        ValueError: they ask for what there is not.
    """
    with named_errors(node, topic, "publisher"):
        return node.create_publisher(kind, topic, profile, **overridable(*ALL))


def overridable(*kinds: QoSPolicyKind) -> Dict[str, Any]:
    """Arguments for create_publisher and create_subscription: `qos_overrides.<topic>....` parameters for the kinds."""
    if not HAS_OVERRIDES:
        return {}
    return {"qos_overriding_options": QoSOverridingOptions(kinds)}


@contextmanager
def named_errors(node: Node, topic: str, entity: str) -> Iterator[None]:
    """rclpy's errors do not tell whose overrides they are about.

    Raises:
        ValueError: instead of any other error, with the names of the parameters to look at.
    """
    try:
        yield
    except ParameterException:  # tells it
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        name = f"qos_overrides.{topic_names.resolve(node, topic)}.{entity}"
        raise ValueError(f"could not make the {entity}; look at the parameters {name}.*: {reason}") from error


def mismatch(offered: QoSProfile, asked: QoSProfile) -> Optional[str]:
    """Why a subscription gets nothing from a publisher, in words; None where they match."""
    if offered.reliability == ReliabilityPolicy.BEST_EFFORT and asked.reliability == ReliabilityPolicy.RELIABLE:
        return "it offers best effort, reliable is asked for"
    if offered.durability == DurabilityPolicy.VOLATILE and asked.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        return "it offers volatile, transient local is asked for"
    return None


def in_words(profile: QoSProfile) -> str:
    """The policies that decide whether images arrive."""
    return f"{profile.reliability.name}, {profile.durability.name}".lower().replace("_", " ")
