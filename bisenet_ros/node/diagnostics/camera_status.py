# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A camera's status in /diagnostics, from what happened in the last 5 s."""

import time
from collections import Counter, deque
from typing import Deque, Dict, List, Mapping, Tuple

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.camera import Camera
from bisenet_ros.node.diagnostics.missing_images import LOSS_REMEDY, explain_missing_images
from bisenet_ros.node.diagnostics.problem_log import ProblemLog
from bisenet_ros.node.frame_statistics import DERIVED_FAILURES, OUTCOMES, count_waiting

NO_IMAGE_TIMEOUT, LONGEST_TIMEOUT = 2.0, 10.0
"""Seconds without an image after which the status is a warning: the first, and for a slow camera up to the second."""
MISSED_IMAGES = 3
"""How many of its intervals a slow camera has."""
NO_MASK_TIMEOUT = 5.0
"""Seconds without an answer to an image that arrived, after which the status is a warning."""
HEALTH_WINDOW = 5.0
"""Seconds over which the images are counted that the status is judged by."""
MAX_UNUSED = 0.1
"""When a larger part of the images is lost, skipped, failed or stale, the status is a warning."""
LOG_DELAY = 3.0
"""Seconds that a problem lasts before it is logged as well."""

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class CameraStatus:
    """Makes the status message of one camera."""

    def __init__(self, node: Node, camera: Camera) -> None:
        self._node = node
        self._camera = camera
        self._problems = ProblemLog(node, delay=LOG_DELAY)
        self._awaited_since = self._last_answer = time.monotonic()
        # How often each event happened in the last HEALTH_WINDOW in which an image was segmented, or could not be.
        self._judged: Mapping[str, int] = Counter()
        self._history: Deque[Tuple[float, Dict[str, int]]] = deque([(self._last_answer, camera.statistics.counts())])

    def message(self, *, active: bool) -> DiagnosticStatus:
        """The status of the last seconds; `active`: whether the node is."""
        now, counts = time.monotonic(), self._camera.statistics.counts()
        new = _difference(counts, self._history[-1][1])
        if _answered(new) or not count_waiting(counts) or not active:
            self._last_answer = now
        self._remember(now, counts, active=active)
        begin, first_counts = self._history[0]
        recent, seconds = _difference(counts, first_counts), max(now - begin, 1e-3)
        if not active or self._camera.subscription.profile is None:  # None: it is disabled
            self._awaited_since, self._judged = now, Counter()
        elif recent["published"] or _unused(recent):  # with a low publish_rate, not in every window
            self._judged = recent
        level, text = self._level_and_text(recent, now=now, active=active)
        self._problems.update([] if level == OK else [text])
        subscription = self._camera.subscription
        values = {
            "topic": subscription.topic,
            "enabled": str(self._camera.is_enabled).lower(),
            "transport": subscription.transport,
            "reliability": subscription.profile.reliability.name.lower() if subscription.profile else "",
            **dict(zip(("frame_size", "network_size"), map(size_text, self._camera.sizes or ()))),
            **counts,
            "input_hz": f"{recent['received'] / seconds:.1f}",
            "output_hz": f"{recent['published'] / seconds:.1f}",
            "seconds_without_image": f"{self._seconds_without_image(now):.0f}",
            **self._confidence_values(),
            **self._camera.statistics.milliseconds(),
        }
        return DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: camera {self._camera.name}",
            message=text,
            hardware_id=self._camera.name,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )

    def _remember(self, now: float, counts: Dict[str, int], *, active: bool) -> None:
        """Keeps the counts of the last HEALTH_WINDOW seconds in which the node was active."""
        if not active:
            self._history.clear()
        self._history.append((now, counts))
        while len(self._history) > 2 and self._history[1][0] <= now - HEALTH_WINDOW:
            self._history.popleft()

    def _level_and_text(self, new: Dict[str, int], *, now: float, active: bool) -> Tuple[bytes, str]:
        """`new`: how often each event happened in the last HEALTH_WINDOW seconds."""
        subscription = self._camera.subscription
        if not active:
            return OK, "inactive"
        if subscription.profile is None:
            return OK, "disabled"
        if _is_losing_images(new):
            return WARN, f"images on {subscription.topic} are lost in transport; {LOSS_REMEDY}"
        best_effort = subscription.profile.reliability == ReliabilityPolicy.BEST_EFFORT
        if best_effort and subscription.has_camera_info_of_driver and _has_fewer_images_than_infos(new):
            return WARN, (
                f"images on {subscription.topic} are lost in transport, or the driver or bag has fewer of them than of "
                f"camera_info; against losses {LOSS_REMEDY}"
            )
        timeout = min(LONGEST_TIMEOUT, max(NO_IMAGE_TIMEOUT, MISSED_IMAGES * self._camera.image_interval))
        if self._seconds_without_image(now) > timeout:
            return WARN, f"no image on {subscription.topic}: {explain_missing_images(self._node, subscription)}"
        if now - self._last_answer > NO_MASK_TIMEOUT:
            return WARN, f"images arrive on {subscription.topic}, but none is segmented: the engine is still at work"
        unused = _unused(self._judged)
        if unused and not self._judged["published"]:
            return ERROR, f"no image could be segmented: {_explain_unused(self._judged)}"
        if unused > MAX_UNUSED * (self._judged["received"] - self._judged["dropped_rate"]):
            return WARN, f"not every image could be segmented: {_explain_unused(self._judged)}"
        if any(new[event] for event in DERIVED_FAILURES):
            return WARN, self._camera.derived_failure
        doubt = self._camera.confidence.warning()
        if doubt:
            return WARN, doubt
        return OK, self._segmenting() if self._camera.last_image else "waiting for the first image"

    def _seconds_without_image(self, now: float) -> float:
        return max(0.0, now - max(self._awaited_since, self._camera.last_image))

    def _confidence_values(self) -> Dict[str, str]:
        figures = self._camera.confidence.figures()
        if figures is None:
            return {}
        return {"mean_confidence": f"{figures.mean:.3f}", "unknown_share": f"{figures.unknown:.3f}"}

    def _segmenting(self) -> str:
        offset = self._camera.clock_offset
        if not offset:
            return "segmenting"
        amount = f"{abs(offset):.0f} s" if abs(offset) >= 1 else "less than 1 s"
        order = "behind" if offset > 0 else "ahead of"
        return f"segmenting; the stamps are {amount} {order} the node's clock, so `receive` is not measured"


def _difference(counts: Dict[str, int], earlier: Dict[str, int]) -> Dict[str, int]:
    return {event: count - earlier.get(event, 0) for event, count in counts.items()}


def _is_losing_images(new: Dict[str, int]) -> bool:
    """Whether DDS reports that more than MAX_UNUSED of the images were lost."""
    return new["lost_in_transport"] > MAX_UNUSED * (new["received"] + new["lost_in_transport"])


def _has_fewer_images_than_infos(new: Dict[str, int]) -> bool:
    """A driver sends both together, and a camera_info is small and not lost, as a large image is."""
    return new["received"] < (1 - MAX_UNUSED) * new["camera_infos"] - 1


def _unused(new: Mapping[str, int]) -> int:
    """Images of which no mask could be made; those that were dropped for a newer one do not count."""
    return new["skipped"] + new["failed"] + new["dropped_stale"]


def _answered(new: Dict[str, int]) -> int:
    """Images with an outcome, but for those that are dropped even while the engine hangs."""
    dropped = ("dropped_newer", "dropped_rate", "dropped_stale")
    return sum(new[outcome] for outcome in OUTCOMES if outcome not in dropped)


def _explain_unused(new: Mapping[str, int]) -> str:
    if new["dropped_stale"] > new["skipped"] + new["failed"]:
        return (
            "they are older than max_age by their stamps; set the camera's clock, set use_sim_time for a bag that is "
            "played with --clock, or set max_age to 0"
        )
    reasons: List[str] = [name.replace("_", " ") for name, count in new.items() if count and "skipped_" in name]
    return f"{', '.join(reasons) or 'failed'}; see the log"
