"""The node's parameters, with what people see of them in `ros2 param describe`."""

from __future__ import annotations

from dataclasses import dataclass

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.node import Node

from bisenet_ros.engines.loader import DEVICES, PRECISIONS
from bisenet_ros.node.camera_subscription import RELIABILITIES


class ParameterError(ValueError):
    """A parameter with a value that cannot be meant."""


@dataclass(frozen=True)
class Parameters:
    """The values the node was started with."""

    model: str
    device: str
    precision: str
    plan_cache: str
    reliability: str
    diagnostics_rate: float


def declare_parameters(node: Node) -> Parameters:
    """Declares the parameters and reads them.

    Raises:
        ParameterError: a choice that does not exist; rclpy raises its own errors for wrong types and ranges.
    """

    def choice(name: str, description: str, values: tuple) -> str:
        descriptor = ParameterDescriptor(
            description=description, additional_constraints=f"One of {', '.join(values)}.", read_only=True
        )
        value = node.declare_parameter(name, "auto", descriptor).value
        if value not in values:
            raise ParameterError(f"parameter {name} must be one of {', '.join(values)}, got {value!r}")
        return value

    model = ParameterDescriptor(
        description="Model file (.onnx) with its card inside; empty: the shipped CamVid model.", read_only=True
    )
    cache = ParameterDescriptor(description="Folder for TensorRT's plans; empty: ~/.cache/bisenet_ros.", read_only=True)
    rate = ParameterDescriptor(
        description="How often /diagnostics is published, in Hz.",
        floating_point_range=[FloatingPointRange(from_value=0.1, to_value=10.0)],
        read_only=True,
    )
    return Parameters(
        model=node.declare_parameter("model", "", model).value,
        device=choice("device", "Where the network runs; auto takes a GPU with TensorRT where there is one.", DEVICES),
        precision=choice("precision", "What the network computes in; auto takes the fastest that is safe.", PRECISIONS),
        plan_cache=node.declare_parameter("plan_cache", "", cache).value,
        reliability=choice(
            "reliability", "Reliability of the image subscription; auto takes what the camera offers.", RELIABILITIES
        ),
        diagnostics_rate=node.declare_parameter("diagnostics_rate", 1.0, rate).value,
    )
