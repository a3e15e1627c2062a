# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The topics that are derived from a mask, published beside the engine so that no mask waits for them."""

import threading
import time
from typing import Callable, Optional

from bisenet_ros.node.camera import CameraFrame
from bisenet_ros.node.camera_outputs import PICTURE_TOPICS
from bisenet_ros.node.frame_queue import FrameQueue

OnError = Callable[[str, Exception], None]


class DerivedTopics:
    """Publishes the confidence on one thread and the pictures on another, as drawing and compressing take longer.

    On both the newest frame wins; one that is dropped is counted as `confidence_dropped` or `pictures_dropped`.
    """

    def __init__(self, *, on_error: OnError) -> None:
        """Calls `on_error` with what could not be done and why; the next frame is tried all the same."""
        self._on_error = on_error
        self._confidences: FrameQueue[CameraFrame] = FrameQueue(_counting("confidence_dropped"))
        self._pictures: FrameQueue[CameraFrame] = FrameQueue(_counting("pictures_dropped"))
        self._threads = [
            threading.Thread(target=self._publish_all, args=arguments, name=name, daemon=True)
            for name, *arguments in (
                ("confidence", self._confidences, _publish_confidence),
                ("pictures", self._pictures, _publish_pictures),
            )
        ]
        for thread in self._threads:
            thread.start()

    def put(self, frame: CameraFrame) -> None:
        """Takes a frame with its mask, and its confidence where it was computed."""
        if frame.confidence is not None:
            self._confidences.put(frame.camera.name, frame)
        if frame.camera.outputs.has_subscriber(*PICTURE_TOPICS):
            self._pictures.put(frame.camera.name, frame)

    def clear(self) -> None:
        """Drops what waits."""
        for queue, event in ((self._confidences, "confidence_dropped"), (self._pictures, "pictures_dropped")):
            for frame in queue.clear():
                frame.camera.statistics.count(event)

    def close(self, *, timeout: Optional[float] = None) -> bool:
        """Ends the threads after their current frame; False if one still runs after `timeout` seconds."""
        self._confidences.close()
        self._pictures.close()
        for thread in self._threads:
            thread.join(timeout)
        return not any(thread.is_alive() for thread in self._threads)

    def _publish_all(self, queue: FrameQueue[CameraFrame], publish: Callable[[CameraFrame], None]) -> None:
        while frames := queue.take():
            try:
                publish(frames[0])
            except Exception as error:  # such as out of memory
                self._on_error("could not publish the topics that belong to a mask", error)


def _publish_confidence(frame: CameraFrame) -> None:
    assert frame.confidence is not None
    frame.camera.outputs.publish_confidence(frame.confidence, frame.message.header)


def _publish_pictures(frame: CameraFrame) -> None:
    start = time.perf_counter()
    frame.camera.outputs.publish_pictures(frame.pixels, frame.mask, frame.message.header)
    frame.camera.statistics.add_seconds(pictures=time.perf_counter() - start)


def _counting(event: str) -> Callable[[CameraFrame], None]:
    return lambda frame: frame.camera.statistics.count(event)
