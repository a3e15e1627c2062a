# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drives one node: its process, its cameras' process and the listener here, in a ROS domain of their own.

All of it stays on this machine.
"""

from __future__ import annotations

import collections
import math
import os
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, Callable, Counter, Optional, Sequence, TypeVar

from bisenet_ros.node.driver.camera_player import CameraPlayer, TimedImages
from bisenet_ros.node.driver.diagnostics_listener import DiagnosticsListener
from bisenet_ros.node.driver.interval import Interval, SentFrame
from bisenet_ros.node.driver.node_process import SEGMENTATION_NODE, NodeProcess
from bisenet_ros.node.driver.ros_client import LOCALHOST_ONLY, DriverError, RosClient
from bisenet_ros.node.driver.ros_domain import free_domain
from bisenet_ros.node.driver.topics import Topics

START_TIMEOUT = 1800.0
"""Seconds for a node to answer its first frame; it may build a TensorRT plan first."""
QUIET = 1.0
"""Seconds without an arrival after which none is waited for."""
REST_TIMEOUT = 30.0
"""Seconds for a node to come to rest, and to say so."""

T = TypeVar("T")


class NodeDriver:
    """Starts a node, plays cameras and listens to its topics; the `with` block ends all of it.

    Any method raises DriverError where the node ends, says that it cannot run, or does not answer.

    Attributes:
        node, cameras: the processes.
        diagnostics: what the node says of itself.
        interval: the present one, or the last.
    """

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        topics: Optional[Topics] = None,
        program: Sequence[str] = SEGMENTATION_NODE,
        has_diagnostics: bool = True,
    ) -> None:
        """Runs `python PROGRAM ARGUMENTS`; of one without diagnostics, only what is unanswered is known."""
        self._arguments, self._program = arguments, program
        self._has_diagnostics = has_diagnostics
        self.topics = topics or Topics()
        self.interval = Interval(self.topics.outputs)
        self._on_answer: Optional[Callable[[SentFrame, Any], None]] = None
        self._last_arrival = 0.0
        self._counts: Counter[str] = collections.Counter()

    def __enter__(self) -> NodeDriver:
        os.environ.update(LOCALHOST_ONLY)
        with ExitStack() as stack:
            domain = stack.enter_context(free_domain())
            self._ros = stack.enter_context(closing(RosClient(domain)))
            self.diagnostics = DiagnosticsListener(self._ros)
            for camera in self.topics.cameras:
                for output in self.topics.outputs:
                    topic, message_type = self.topics.output(camera, output), self.topics.output_type(output)
                    self._ros.subscribe(topic, message_type, partial(self._receive, camera, output))
            self.cameras = stack.enter_context(closing(CameraPlayer(self.topics, domain=self._ros.domain)))
            process = NodeProcess(self._arguments, domain=self._ros.domain, program=self._program)
            self.node = stack.enter_context(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.close()

    def warm_up(self, frames: TimedImages) -> None:
        """Plays frames again and again until every camera is answered on every topic.

        Then all have found each other, and the engine is warm.
        """
        # The node renews its subscriptions to fit what the cameras offer.
        self._wait_for(self._is_subscribed, "the node to subscribe to the cameras", START_TIMEOUT)
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_answered_everywhere():
            if time.monotonic() > deadline:
                raise DriverError(f"the node answered no frame; it printed:\n{self.node.last_lines()}")
            self.start(frames)
            self.wait_for_cameras()
            self._wait_for_arrivals()
        if self._has_diagnostics:
            self._counts = self._counts_at_rest()

    def play(
        self,
        frames: TimedImages,
        *,
        on_answer: Optional[Callable[[SentFrame, Any], None]] = None,
        bar: Any = None,
    ) -> Interval:
        """Plays frames, waits until the node is at rest, and returns what became of every frame.

        Args:
            on_answer: is called with every frame answered and the message of the first output.
            bar: a tqdm bar that shows the frames sent so far.
        """
        self._on_answer = on_answer
        self.start(frames)
        self.wait_for_cameras(bar=bar)
        return self.finish()

    def start(self, frames: TimedImages) -> Interval:
        """Begins an interval, which fills while somebody waits."""
        self.interval = Interval(self.topics.outputs)
        self.cameras.play(frames)
        return self.interval

    def wait_for_cameras(self, seconds: float = math.inf, *, bar: Any = None) -> None:
        """Listens until all frames are sent, or for some seconds."""
        end = time.monotonic() + seconds

        def is_over() -> bool:
            self._read_cameras()
            if bar is not None:
                bar.update(len(self.interval.sent) - bar.n)
            return not self.cameras.is_playing or time.monotonic() >= end

        self._wait_for(is_over)

    def finish(self) -> Interval:
        """Waits until the node is at rest and the last answers are here."""
        if self._has_diagnostics:
            counts = self._counts_at_rest()
            self.interval.counts, self._counts = counts - self._counts, counts
        self._wait_for_arrivals()
        return self.interval

    def _is_subscribed(self) -> bool:
        """Whether the cameras have subscriptions of their own reliability."""
        wanted = self.topics.camera_profile.reliability
        subscriptions = [
            self._ros.node.get_subscriptions_info_by_topic(self.topics.image(camera)) for camera in self.topics.cameras
        ]
        return all(any(info.qos_profile.reliability == wanted for info in found) for found in subscriptions)

    def _is_answered_everywhere(self) -> bool:
        answered = [{camera for camera, _ in self.interval.arrived[output]} for output in self.topics.outputs]
        return all(cameras == set(self.topics.cameras) for cameras in answered)

    def _counts_at_rest(self) -> Counter[str]:
        what = "diagnostics of the node in which every frame received has its outcome"
        self.diagnostics.forget()
        return self._wait_for(self.diagnostics.counts_at_rest, what, REST_TIMEOUT)

    def _wait_for_arrivals(self) -> None:
        start = time.monotonic()

        def is_over() -> bool:
            return self.interval.is_complete or time.monotonic() > max(start, self._last_arrival) + QUIET

        self._wait_for(is_over)

    def _wait_for(self, condition: Callable[[], Optional[T]], what: str = "", seconds: float = math.inf) -> T:
        """Listens until the condition is true; raises DriverError where the node fails, or after some seconds."""

        def checked() -> Optional[T]:
            self.node.check()
            if self.diagnostics.error:
                raise DriverError(f"the node cannot run: {self.diagnostics.error}")
            return condition()

        return self._ros.wait_for(checked, what, seconds)

    def _read_cameras(self) -> None:
        self.interval.sent.update(self.cameras.sent())

    def _receive(self, camera: str, output: str, message: Any) -> None:
        now = time.monotonic_ns()
        self._last_arrival = now / 1e9
        self._read_cameras()
        stamp = message.header.stamp
        frame = self.interval.note_arrival((camera, stamp.sec * 10**9 + stamp.nanosec), output, time=now)
        if frame is not None and output == self.topics.outputs[0] and self._on_answer is not None:
            self._on_answer(frame, message)
