# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The base class of a lifecycle node; where rclpy has no lifecycle, its transitions as plain methods."""

from enum import Enum
from typing import Any, Callable

from rclpy.node import Node

UNCONFIGURED, INACTIVE, ACTIVE, FINALIZED = "unconfigured", "inactive", "active", "finalized"
"""The states between transitions."""
HAS_TRANSITIONS = True
"""Whether there are services for the transitions, which `ros2 lifecycle set` calls."""

try:
    from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

    class ManagedNode(LifecycleNode):
        """rclpy's lifecycle node, made to refuse a transition that its state does not allow instead of ending."""

        def __init__(self, name: str, **options: Any) -> None:
            super().__init__(name, **options)
            self._change_state = self._service_change_state.callback
            self._service_change_state.callback = self._change_state_or_refuse

        def _change_state_or_refuse(self, request: Any, response: Any) -> Any:
            try:
                return self._change_state(request, response)
            except RuntimeError as error:  # rclpy's RCLError
                requested = request.transition.label or request.transition.id
                state = self._state_machine.current_state[1]
                self.get_logger().warning(f"refused transition {requested!r} in state {state!r}: {error}")
                response.success = False
                return response

except ImportError:  # Foxy and Galactic
    HAS_TRANSITIONS = False

    class TransitionCallbackReturn(Enum):  # type: ignore[no-redef]
        """How a transition ended."""

        SUCCESS = "success"
        FAILURE = "failure"

    class ManagedNode(Node):  # type: ignore[no-redef]
        """The transitions without their services; the caller keeps their order."""

        on_configure: Callable[[Any], TransitionCallbackReturn]
        on_activate: Callable[[Any], TransitionCallbackReturn]
        on_deactivate: Callable[[Any], TransitionCallbackReturn]

        def get_fully_qualified_name(self) -> str:
            """The namespace and the name; Foxy's rclpy lacks this method."""
            return f"{self.get_namespace().rstrip('/')}/{self.get_name()}"

        def trigger_configure(self) -> TransitionCallbackReturn:
            return self.on_configure(None)

        def trigger_activate(self) -> TransitionCallbackReturn:
            return self.on_activate(None)

        def trigger_deactivate(self) -> TransitionCallbackReturn:
            return self.on_deactivate(None)
