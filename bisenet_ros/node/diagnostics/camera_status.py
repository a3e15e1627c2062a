# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A camera's status in /diagnostics, from what happened since the status before."""

import time
from typing import Dict, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from bisenet_ros.node.camera import Camera
from bisenet_ros.node.diagnostics.missing_images import LOSS_REMEDY, explain_missing_images

NO_IMAGE_TIMEOUT = 2.0
"""Seconds without an image after which the status is a warning."""
MIN_IMAGES_PER_CAMERA_INFO = 0.5
"""Below this, images count as lost: a driver sends an image and a camera_info together."""

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class CameraStatus:
    """Makes the status message of one camera."""

    def __init__(self, node: Node, camera: Camera) -> None:
        self._node = node
        self._camera = camera
        self._counts = camera.statistics.counts()
        self._last_status = self._last_image = time.monotonic()

    def message(self, *, active: bool) -> DiagnosticStatus:
        """The status of the time since the last call; `active`: whether the node is."""
        now, counts = time.monotonic(), self._camera.statistics.counts()
        new = {event: count - self._counts.get(event, 0) for event, count in counts.items()}
        seconds = max(now - self._last_status, 1e-3)
        self._last_status, self._counts = now, counts
        if new["received"] or not active:
            self._last_image = now
        level, text = self._level_and_text(new, without_image=now - self._last_image, active=active)
        subscription = self._camera.subscription
        values = {
            "topic": subscription.topic,
            "enabled": str(self._camera.is_enabled).lower(),
            "transport": subscription.transport,
            "reliability": subscription.profile.reliability.name.lower() if subscription.profile else "",
            **counts,
            "input_hz": f"{new['received'] / seconds:.1f}",
            "output_hz": f"{new['published'] / seconds:.1f}",
            **self._camera.statistics.milliseconds(),
        }
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: camera {self._camera.name}",
            message=text,
            hardware_id=self._camera.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _level_and_text(self, new: Dict[str, int], *, without_image: float, active: bool) -> Tuple[bytes, str]:
        """`new`: how often each event happened since the last status. `without_image`: seconds since the last image."""
        subscription = self._camera.subscription
        if not active:
            return OK, "inactive"
        if subscription.profile is None:
            return OK, "disabled"
        if _is_losing_images(new):
            return WARN, f"images on {subscription.topic} are lost in transport; {LOSS_REMEDY}"
        if without_image > NO_IMAGE_TIMEOUT:
            reason = explain_missing_images(self._node, subscription)
            return WARN, f"no image on {subscription.topic} for {without_image:.0f} s: {reason}"
        if not new["received"] or new["published"]:
            return OK, self._segmenting() if self._counts["received"] else "waiting for the first image"
        if new["dropped_stale"]:
            return ERROR, (
                "every image is older than max_age by its stamp; set the camera's clock, set use_sim_time for a bag "
                "that is played with --clock, or set max_age to 0"
            )
        if new["skipped"] or new["failed"]:
            reasons = [name.replace("_", " ") for name, count in new.items() if count and name.startswith("skipped_")]
            return ERROR, f"no image could be segmented, see the log: {', '.join(reasons) or 'failed'}"
        return OK, self._segmenting()

    def _segmenting(self) -> str:
        offset = self._camera.clock_offset
        if not offset:
            return "segmenting"
        order = "behind" if offset > 0 else "ahead of"
        return f"segmenting; the stamps are {abs(offset):.0f} s {order} the node's clock, so `receive` is not measured"


def _is_losing_images(new: Dict[str, int]) -> bool:
    """Losses that DDS reports, or far fewer images than messages of camera_info, which are small and not lost."""
    if new["lost_in_transport"] > new["received"]:
        return True
    return new["received"] < MIN_IMAGES_PER_CAMERA_INFO * new.get("camera_infos", 0) - 1
