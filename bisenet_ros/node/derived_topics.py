# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The topics that are derived from a mask, published beside the engine so that no mask waits for them."""

import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import Callable, Dict, Iterator

from bisenet_ros.node.camera import CameraFrame
from bisenet_ros.node.camera_outputs import PICTURE_TOPICS
from bisenet_ros.node.frame_queue import FrameQueue
from bisenet_ros.node.frame_statistics import DERIVED_DROPS
from bisenet_ros.node.ground_grid import GroundGrid
from bisenet_ros.node.parameters import Parameters, error_text

POLLING_PERIOD = 0.02
"""The most seconds between two looks whether the next pictures are due, as `picture_rate` may change."""
NICENESS = 5
"""Added to that of the threads here, so that the engine comes first where every core is busy. Linux alone has it."""
OnError = Callable[[str, Exception], None]


class DerivedTopics:
    """Publishes confidence, ground grid and pictures, each on a thread; the last rests to keep to `picture_rate`.

    On each the newest frame wins; one that is dropped is counted as `confidence_dropped`, `ground_grid_dropped` or
    `pictures_dropped`, and one that fails as `confidence_failed` and so on.

    Attributes:
        threads: they run until `close`.
    """

    def __init__(self, parameters: Parameters, *, ground_grid: GroundGrid, on_error: OnError) -> None:
        """Calls `on_error` with what could not be done and why; the next frame is tried all the same."""
        self._parameters = parameters
        self._ground_grid = ground_grid
        self._on_error = on_error
        self._ended = threading.Event()
        self._queues: Dict[str, FrameQueue[CameraFrame]] = {
            event: FrameQueue(partial(_count, event)) for event in DERIVED_DROPS
        }
        self._confidences = self._queues["confidence_dropped"]
        self._grids = self._queues["ground_grid_dropped"]
        self._pictures = self._queues["pictures_dropped"]
        self.threads = [
            threading.Thread(target=self._run, args=[target], name=target.__name__.strip("_"), daemon=True)
            for target in (self._publish_confidences, self._publish_grids, self._publish_pictures)
        ]
        for thread in self.threads:
            thread.start()

    def put(self, frame: CameraFrame) -> None:
        """Takes a frame with its mask, and its confidence where it was computed."""
        if frame.confidence is not None and frame.camera.outputs.has_subscriber("confidence"):
            self._confidences.put(frame.camera.name, frame)
        if self._ground_grid.has_subscriber:
            self._grids.put(frame.camera.name, frame)
        if frame.camera.outputs.has_subscriber(*PICTURE_TOPICS):
            self._pictures.put(frame.camera.name, frame)

    def clear(self) -> None:
        """Drops what waits."""
        for event, queue in self._queues.items():
            for frame in queue.clear():
                _count(event, frame)

    def close(self) -> None:
        """Lets the threads end after their current frame; does not wait for them."""
        self._ended.set()
        for queue in self._queues.values():
            queue.close()

    @staticmethod
    def _run(publish: Callable[[], None]) -> None:
        if sys.platform == "linux":
            this_thread = 0
            with suppress(OSError):  # as where a container's seccomp profile forbids it
                os.setpriority(os.PRIO_PROCESS, this_thread, os.getpriority(os.PRIO_PROCESS, this_thread) + NICENESS)
        publish()

    def _publish_confidences(self) -> None:
        while frames := self._confidences.take():
            for frame in frames:
                assert frame.confidence is not None
                with self._note_failure(frame, "confidence_failed", "the confidence"):
                    frame.camera.outputs.publish_confidence(frame.confidence, frame.message.header)

    def _publish_grids(self) -> None:
        while frames := self._grids.take():
            for frame in frames:
                with self._note_failure(frame, "ground_grid_failed", "the ground grid"):
                    self._ground_grid.publish(frame)

    def _publish_pictures(self) -> None:
        """Takes the frames of all cameras together, so that the rate is that of each."""
        while frames := self._pictures.take(most=None):
            begin = time.perf_counter()
            for frame in frames:
                start = time.perf_counter()
                with self._note_failure(frame, "pictures_failed", "color mask and overlay"):
                    frame.camera.outputs.publish_pictures(frame.pixels, frame.mask, frame.message.header)
                frame.camera.statistics.add_seconds(pictures=time.perf_counter() - start)
            while (remaining := begin + self._picture_period() - time.perf_counter()) > 0:
                if self._ended.wait(min(POLLING_PERIOD, remaining)):  # the period may change meanwhile
                    break

    def _picture_period(self) -> float:
        """Seconds from one set of pictures to the next, by the parameter `picture_rate`; 0: one for every mask."""
        rate = self._parameters["picture_rate"]
        return 1 / rate if rate else 0.0

    @contextmanager
    def _note_failure(self, frame: CameraFrame, event: str, topics: str) -> Iterator[None]:
        """Counts an error under the event's name, and keeps it for the camera's diagnostics."""
        try:
            yield
        except Exception as error:  # such as out of memory
            _count(event, frame)
            frame.camera.derived_failure = f"could not publish {topics}: {error_text(error)}"
            self._on_error(f"could not publish {topics} of {frame.camera.name}", error)


def _count(event: str, frame: CameraFrame) -> None:
    frame.camera.statistics.count(event)
