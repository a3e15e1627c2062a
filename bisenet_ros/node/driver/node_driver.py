"""Drives one node: its process, its cameras' process and the listener here, in a ROS domain of their own."""

from __future__ import annotations

import math
import os
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, Callable, Optional, Sequence, TypeVar

from bisenet_ros.node.driver.camera_player import CameraPlayer, FrameSource
from bisenet_ros.node.driver.diagnostics_listener import REST_TIMEOUT, DiagnosticsListener
from bisenet_ros.node.driver.driver_node import DriverError, DriverNode
from bisenet_ros.node.driver.interval import Interval, SentFrame
from bisenet_ros.node.driver.node_process import SEGMENTATION_NODE, NodeProcess
from bisenet_ros.node.driver.outcomes import FrameCounts
from bisenet_ros.node.driver.topics import Topics
from bisenet_ros.node.fastdds import LOCALHOST_ONLY, free_domain

START_TIMEOUT = 1800.0
"""Seconds for a node to answer its first frame; it may build a TensorRT plan first."""
QUIET = 1.0
"""Seconds without an arrival after which none is waited for."""
DRAIN_TIMEOUT = 10.0
"""Seconds after the last frame in which answers still count."""

T = TypeVar("T")


class NodeDriver:
    """Starts a node, plays cameras and listens to its topics; the `with` block ends all of it.

    Nothing leaves this machine.

    Attributes:
        node, cameras: the processes.
        diagnostics: what the node says of itself.
        interval: the present one, or the last.

    Raises:
        DriverError: from any method, where the node ends, says that it cannot run, or does not answer.
    """

    def __init__(
        self,
        arguments: Sequence[str] = (),
        *,
        topics: Optional[Topics] = None,
        program: Sequence[str] = SEGMENTATION_NODE,
        has_diagnostics: bool = True,
    ) -> None:
        """
        Args:
            arguments: of the node's process.
            program: what Python runs as the node.
            has_diagnostics: whether it counts its frames; else only what is unanswered is known.
        """
        self._arguments, self._program = arguments, program
        self._has_diagnostics = has_diagnostics
        self.topics = topics or Topics()
        self.interval = Interval(self.topics.outputs)
        self._on_answer: Optional[Callable[[SentFrame, Any], None]] = None
        self._last_arrival = 0.0
        self._counts = FrameCounts()

    def __enter__(self) -> NodeDriver:
        os.environ.update(LOCALHOST_ONLY)
        with ExitStack() as stack:
            self._ros = stack.enter_context(DriverNode(free_domain()))
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

    def warm_up(self, frames: FrameSource) -> None:
        """Plays frames again and again until every camera is answered on every topic.

        Then all have found each other, and the engine is warm.
        """
        # The node renews its subscriptions to fit what the cameras offer.
        self._wait_for(self._is_subscribed, "the node to subscribe to the cameras", START_TIMEOUT)
        wanted = {(camera, output) for camera in self.topics.cameras for output in self.topics.outputs}
        deadline = time.monotonic() + START_TIMEOUT
        answered: set = set()
        while not wanted <= answered:
            if time.monotonic() > deadline:
                raise DriverError(f"the node answered no frame; it printed:\n{self.node.last_lines()}")
            self.start(frames)
            self.wait_for_cameras()
            self._wait_for_arrivals()
            answered = {(camera, output) for output, keys in self.interval.arrived.items() for camera, _ in keys}
        if self._has_diagnostics:
            self._counts = self._counts_at_rest()

    def play(
        self,
        frames: FrameSource,
        *,
        on_answer: Optional[Callable[[SentFrame, Any], None]] = None,
        on_progress: Optional[Callable[[Interval], Any]] = None,
    ) -> Interval:
        """Plays frames, waits until the node is at rest, and returns what became of every frame.

        Args:
            on_answer: is called with every frame answered and the message of the first output.
            on_progress: is called many times a second while the cameras send.
        """
        self._on_answer = on_answer
        self.start(frames)
        self.wait_for_cameras(on_progress)
        return self.finish()

    def start(self, frames: FrameSource) -> Interval:
        """Begins an interval, which fills while somebody waits."""
        self.interval = Interval(self.topics.outputs)
        self.cameras.play(frames)
        return self.interval

    def wait_for_cameras(self, on_progress: Optional[Callable[[Interval], Any]] = None) -> None:
        """Until all frames are sent."""
        start = time.monotonic()

        def have_ended() -> bool:
            self._read_cameras()
            if on_progress is not None:
                on_progress(self.interval)
            return not self.cameras.is_playing

        self._wait_for(have_ended)
        self.interval.seconds = time.monotonic() - start

    def finish(self) -> Interval:
        """Waits until the node is at rest and the last answers are here."""
        if self._has_diagnostics:
            counts = self._counts_at_rest()
            self.interval.counts, self._counts = counts - self._counts, counts
        self._wait_for_arrivals()
        return self.interval

    def spin_for(self, seconds: float) -> None:
        """Listens for so long."""
        end = time.monotonic() + seconds

        def is_over() -> bool:
            self._read_cameras()
            return time.monotonic() >= end

        self._wait_for(is_over)

    def check(self) -> None:
        """Raises DriverError where the node has ended or says that it cannot run."""
        self.node.check()
        if self.diagnostics.error:
            raise DriverError(f"the node cannot run: {self.diagnostics.error}")

    def _is_subscribed(self) -> bool:
        """Whether the cameras have subscriptions of their own reliability."""
        wanted = self.topics.camera_profile.reliability
        subscriptions = [
            self._ros.node.get_subscriptions_info_by_topic(self.topics.image(camera)) for camera in self.topics.cameras
        ]
        return all(any(info.qos_profile.reliability == wanted for info in found) for found in subscriptions)

    def _counts_at_rest(self) -> FrameCounts:
        what = "diagnostics of the node in which every frame received has its outcome"
        return self._wait_for(self.diagnostics.watch_for_rest(), what, REST_TIMEOUT)

    def _wait_for_arrivals(self) -> None:
        start = time.monotonic()

        def is_over() -> bool:
            now = time.monotonic()
            quiet = now > max(start, self._last_arrival) + QUIET
            return self.interval.is_complete or quiet or now > start + DRAIN_TIMEOUT

        self._wait_for(is_over)

    def _wait_for(self, condition: Callable[[], Optional[T]], what: str = "", seconds: float = math.inf) -> T:
        """Listens until the condition is true; raises DriverError where the node fails, or after some seconds."""

        def checked() -> Optional[T]:
            self.check()
            return condition()

        return self._ros.wait_for(checked, what, seconds)

    def _read_cameras(self) -> None:
        self.interval.sent.update(self.cameras.sent())

    def _receive(self, camera: str, output: str, message: Any) -> None:
        now = time.monotonic_ns()
        self._last_arrival = time.monotonic()
        self._read_cameras()
        stamp = message.header.stamp
        key = (camera, stamp.sec * 10**9 + stamp.nanosec)
        frame = self.interval.note_arrival(key, output, time=now)
        if frame is not None and output == self.topics.outputs[0] and self._on_answer is not None:
            self._on_answer(frame, message)
