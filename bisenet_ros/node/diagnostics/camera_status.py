"""How a camera's images are doing, judged from what happened since the last look."""

from __future__ import annotations

import time
from typing import Dict, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from bisenet_ros.node.camera import Camera
from bisenet_ros.node.diagnostics.missing_images import CURE, explain_silence

SILENCE = 2.0
"""Seconds without an image until that is a warning."""
FEW = 0.5
"""Images per camera_info below which images are taken to be lost; a driver sends both at once."""

Judgment = Tuple[bytes, str]
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class CameraHealth:
    """Makes a camera's part of /diagnostics."""

    def __init__(self, node: Node, camera: Camera) -> None:
        self._node = node
        self._camera = camera
        self._counts = camera.statistics.counts()
        self._looked = self._last_image = time.monotonic()

    def status(self, *, active: bool) -> DiagnosticStatus:
        """The status since the last call.

        Args:
            active: whether the node wants images.
        """
        now, counts = time.monotonic(), self._camera.statistics.counts()
        new = {event: count - self._counts.get(event, 0) for event, count in counts.items()}
        seconds = max(now - self._looked, 1e-3)
        self._looked, self._counts = now, counts
        if new["received"] or not active:
            self._last_image = now
        level, message = self._judge(new, silence=now - self._last_image, active=active)
        values = {
            **self._subscription_values(),
            **counts,
            "input_hz": f"{new['received'] / seconds:.1f}",
            "output_hz": f"{new['published'] / seconds:.1f}",
            **self._camera.statistics.milliseconds(),
        }
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: camera {self._camera.name}",
            message=message,
            hardware_id=self._camera.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _subscription_values(self) -> Dict[str, str]:
        subscription = self._camera.subscription
        values = {"topic": self._camera.topic, "enabled": str(self._camera.is_enabled).lower()}
        if subscription is not None:
            values["transport"] = subscription.transport
            values["reliability"] = subscription.profile.reliability.name.lower()
        return values

    def _judge(self, new: Dict[str, int], *, silence: float, active: bool) -> Judgment:
        subscription = self._camera.subscription
        if not active:
            return OK, "inactive"
        if subscription is None:
            return OK, "switched off"
        if self._is_losing(new):
            return WARN, f"images of {self._camera.topic} are lost in transport; {CURE}"
        if silence > SILENCE:
            why = explain_silence(self._node, subscription)
            return WARN, f"no image on {self._camera.topic} for {silence:.0f} s: {why}"
        if not new["received"] or new["published"]:
            return OK, self._how_it_goes() if self._counts["received"] else "waiting for the first image"
        if new["dropped_stale"]:
            return ERROR, (
                "stale stamps: every image is older than max_age; set the camera's clock, use_sim_time for a bag that "
                "is replayed with --clock, or max_age to 0"
            )
        if new["skipped"] or new["failed"]:
            reasons = [name.replace("_", " ") for name, count in new.items() if count and name.startswith("skipped_")]
            return ERROR, f"no image could be used, the log says why: {', '.join(reasons) or 'failed'}"
        return OK, self._how_it_goes()

    def _how_it_goes(self) -> str:
        offset = self._camera.clock_offset
        if not offset:
            return "segmenting"
        order = "behind" if offset > 0 else "ahead of"
        return f"segmenting; stale stamps: they are {abs(offset):.0f} s {order} this clock, so that no age can be told"

    def _is_losing(self, new: Dict[str, int]) -> bool:
        """DDS tells of some losses; the small camera_info, which is not lost, of others."""
        return new["lost_in_transport"] > new["received"] or new["received"] < FEW * new.get("camera_infos", 0) - 1
