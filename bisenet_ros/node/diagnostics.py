"""What the node says of itself on /diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import Deque, Tuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from bisenet_ros.engines.engine import Engine

EVENTS = ("received", "published", "dropped", "skipped", "failed")
WINDOW = 300
"""Frames that the times are taken over."""
SILENCE = 2.0
"""Seconds without an image until that is a warning."""


class Statistics:
    """What happened to the frames, counted from any thread.

    Every frame received is in the end published, dropped (a newer one came before its turn), skipped (not to be
    read) or failed (the engine raised).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter = Counter()
        self._engine_times: Deque[float] = deque(maxlen=WINDOW)

    def count(self, event: str) -> None:
        with self._lock:
            self._counts[event] += 1

    def add_engine_time(self, seconds: float) -> None:
        with self._lock:
            self._engine_times.append(seconds)

    def values(self) -> dict:
        """The counts, and the engine's time per frame in milliseconds over the last frames."""
        with self._lock:
            counts, times = dict(self._counts), list(self._engine_times)
        values = {event: counts.get(event, 0) for event in EVENTS}
        if times:
            p50, p99 = 1000 * np.percentile(times, [50, 99])
            values.update(engine_p50_ms=f"{p50:.1f}", engine_p99_ms=f"{p99:.1f}")
        return values


class Diagnostics:
    """Publishes the statistics at a fixed rate."""

    def __init__(self, node: Node, statistics: Statistics, *, engine: Engine, topic: str, rate: float) -> None:
        self._node = node
        self._statistics = statistics
        self._engine = engine
        self._topic = topic
        self._before = statistics.values()
        self._last_image = time.monotonic()
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        node.create_timer(1 / rate, self._publish)

    def _publish(self) -> None:
        counts = self._statistics.values()
        level, message = self._judge(counts)
        self._before = counts
        values = {"engine": self._engine.description, "image_topic": self._topic, **counts}
        status = DiagnosticStatus(
            level=level,
            name=f"{self._node.get_fully_qualified_name()}: segmentation",
            message=message,
            hardware_id=self._engine.description,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _judge(self, counts: dict) -> Tuple[bytes, str]:
        """The level and the words for what happened since the last message."""
        new = {event: counts[event] - self._before[event] for event in EVENTS}
        now = time.monotonic()
        if new["received"]:
            self._last_image = now
        silence = now - self._last_image
        if self._engine.building:
            return DiagnosticStatus.OK, f"building {self._engine.building}"
        if silence > SILENCE:
            return DiagnosticStatus.WARN, f"no image on {self._topic} for {silence:.0f} s"
        if not new["published"] and (new["skipped"] or new["failed"]):
            return DiagnosticStatus.ERROR, f"no image could be used: {new['skipped']} skipped, {new['failed']} failed"
        return DiagnosticStatus.OK, "segmenting"
