"""A node with ROS 2's lifecycle, and with the same transitions as plain methods where rclpy has no lifecycle."""

from __future__ import annotations

from enum import Enum
from typing import Any

from rclpy.node import Node

try:
    from rclpy.lifecycle import LifecycleNode as ManagedNode
    from rclpy.lifecycle import TransitionCallbackReturn
except ImportError:  # Foxy and Galactic

    class TransitionCallbackReturn(Enum):  # type: ignore[no-redef]
        """How a transition ended."""

        SUCCESS = "success"
        FAILURE = "failure"
        ERROR = "error"

    class ManagedNode(Node):  # type: ignore[no-redef]
        """The transitions alone, without services; whoever calls them keeps their order."""

        def trigger_configure(self) -> TransitionCallbackReturn:
            return self.on_configure(None)

        def trigger_activate(self) -> TransitionCallbackReturn:
            return self.on_activate(None)

        def trigger_deactivate(self) -> TransitionCallbackReturn:
            return self.on_deactivate(None)

        def trigger_cleanup(self) -> TransitionCallbackReturn:
            return self.on_cleanup(None)

        def on_configure(self, state: Any) -> TransitionCallbackReturn:
            return TransitionCallbackReturn.SUCCESS

        on_activate = on_deactivate = on_cleanup = on_configure


__all__ = ["ManagedNode", "TransitionCallbackReturn"]
