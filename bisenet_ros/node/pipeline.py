"""The way of a frame through the node: received, converted, segmented, published."""

from __future__ import annotations

import threading
import time
from typing import Callable, Dict, List, Optional, Tuple

import numpy as np
import rclpy
from rclpy.impl.rcutils_logger import RcutilsLogger

from bisenet_ros.engines.engine import Engine
from bisenet_ros.node.camera import CameraFrame
from bisenet_ros.node.frame_queue import FrameQueue
from bisenet_ros.node.image_messages import ImageError
from bisenet_ros.node.throttle import Throttle

LOG_PERIOD = 5.0
"""Seconds between two log lines about frames that cannot be used for the same reason."""
MOST_FAULTS = 3
"""Frames in a row that the engine fails on, each tried twice, until it is given up."""

BatchKey = Tuple[Tuple[int, ...], bool]
"""The frame's shape, and whether its confidence is wanted; frames alike in both go through the engine together."""


class Pipeline:
    """Segments the newest frame of every camera.

    The executor's thread puts messages in, one thread converts, one runs the engine and publishes. So the next frame
    is converted while the engine works, and is the newest there is when its turn comes. A mask leaves before the next
    frame is begun.

    Attributes:
        active: whether masks are published.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        opacity: Callable[[], float],
        on_fault: Callable[[str], None],
        logger: RcutilsLogger,
    ) -> None:
        """
        Args:
            opacity: of the overlay now.
            on_fault: is told, on the engine's thread, why the engine was given up.
        """
        self.active = False
        self._engine = engine
        self._opacity = opacity
        self._on_fault = on_fault
        self._logger = logger
        self._throttle = Throttle(LOG_PERIOD)
        self._faults = 0
        self._activation = 0
        self._messages: FrameQueue[str, CameraFrame] = FrameQueue(_count_displaced)
        self._frames: FrameQueue[str, CameraFrame] = FrameQueue(_count_displaced)
        self._threads = [
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            for target in (self._convert_all, self._segment_all)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, frame: CameraFrame) -> None:
        """Takes a frame in; the one it displaces is counted."""
        frame.activation = self._activation
        self._messages.put(frame.camera.name, frame)

    def start(self) -> None:
        """Masks of the frames that are put from now on; one that is still under way from before ends unpublished."""
        self._activation += 1
        self._faults = 0
        self.active = True

    def stop(self) -> None:
        """No more masks from now on; what waits is dropped."""
        self.active = False
        for frame in (*self._messages.clear(), *self._frames.clear()):
            frame.camera.statistics.count("dropped_inactive")

    def close(self, *, patience: Optional[float] = None) -> bool:
        """Ends the threads after the frame they have in hand; False where that took longer than `patience` seconds."""
        self.stop()
        self._messages.close()
        self._frames.close()
        for thread in self._threads:
            thread.join(patience)
        return not any(thread.is_alive() for thread in self._threads)

    def _is_dropped(self, frame: CameraFrame) -> bool:
        """Whether a frame is not worth going on with; then it is counted."""
        if not self._is_wanted(frame):
            frame.camera.statistics.count("dropped_inactive")
            return True
        if frame.camera.is_stale(frame):
            frame.camera.statistics.count("dropped_stale")
            return True
        return False

    def _is_wanted(self, frame: CameraFrame) -> bool:
        return self.active and frame.activation == self._activation

    # The converting thread

    def _convert_all(self) -> None:
        while frames := self._messages.take():
            for frame in frames:
                if self._convert(frame):
                    self._frames.put(frame.camera.name, frame)

    def _convert(self, frame: CameraFrame) -> bool:
        start = time.perf_counter()
        try:
            if self._is_dropped(frame):
                return False
            frame.pixels = frame.read()
        except ImageError as error:
            frame.camera.statistics.count("skipped")
            frame.camera.statistics.count(f"skipped_{error.reason}")
            if self._throttle.passes(f"{frame.camera.name} {error.reason}"):
                self._logger.warning(f"skipped an image of {frame.camera.topic}: {error}")
            return False
        except Exception as error:  # out of memory, say: one bad image must not end the node
            self._count_failed([frame], error, "could not read an image")
            return False
        frame.convert = time.perf_counter() - start
        return True

    # The engine's thread

    def _segment_all(self) -> None:
        while frames := self._frames.take(self._engine.max_batch):
            try:
                batches: Dict[BatchKey, List[CameraFrame]] = {}
                for frame in frames:
                    if not self._is_dropped(frame):
                        batches.setdefault(_batch_key(frame), []).append(frame)
                for (_, with_confidence), alike in batches.items():
                    self._segment(alike, with_confidence)
            except Exception as error:  # at the end ROS goes first; else, whatever it was, the next frame may be fine
                self._log_error("could not segment images", error)

    def _segment(self, frames: List[CameraFrame], with_confidence: bool) -> None:
        """Frames of one size."""
        start = time.perf_counter()
        try:
            results = self._run_engine([_pixels(frame) for frame in frames], with_confidence)
        except Exception as error:
            self._give_up_after_several(frames, error)
            return
        self._faults = 0
        engine = time.perf_counter() - start
        for frame, result in zip(frames, results):
            labels, confidence = result if with_confidence else (result, None)
            self._publish(frame, labels, confidence, started=start, engine=engine)

    def _run_engine(self, frames: List[np.ndarray], confidence: bool) -> List:
        try:
            return self._engine.segment_batch(frames, confidence=confidence)
        except Exception as error:
            if self._throttle.passes("retry"):
                self._logger.warning(f"the engine failed, and is tried once more: {type(error).__name__}: {error}")
            return self._engine.segment_batch(frames, confidence=confidence)

    def _give_up_after_several(self, frames: List[CameraFrame], error: Exception) -> None:
        self._count_failed(frames, error, "the engine failed twice on an image")
        self._faults += 1
        if self._faults == MOST_FAULTS:
            self._faults = 0
            self.active = False  # at once, not for another frame until the executor's thread is told
            self._on_fault(f"{type(error).__name__}: {error}")

    def _publish(
        self, frame: CameraFrame, labels: np.ndarray, confidence: Optional[np.ndarray], *, started: float, engine: float
    ) -> None:
        camera, header = frame.camera, frame.message.header
        if not self._is_wanted(frame):
            camera.statistics.count("dropped_inactive")
            return
        segmented = time.perf_counter()
        try:
            camera.outputs.publish_mask(labels, header)
        except Exception as error:
            self._count_failed([frame], error, "could not publish a mask")
            return
        published = time.perf_counter()
        camera.statistics.count("published")
        camera.statistics.add_seconds(
            wait=started - frame.received - frame.convert,
            convert=frame.convert,
            engine=engine,
            publish=published - segmented,
            total=published - frame.received,
        )
        try:
            camera.outputs.publish_the_rest(
                _pixels(frame), labels, confidence, header, camera_info=camera.camera_info, opacity=self._opacity()
            )
        except Exception as error:
            self._log_error("could not publish what belongs to a mask", error)

    def _count_failed(self, frames: List[CameraFrame], error: Exception, what: str) -> None:
        for frame in frames:
            frame.camera.statistics.count("failed")
        self._log_error(what, error)

    def _log_error(self, what: str, error: Exception) -> None:
        if rclpy.ok() and self._throttle.passes(f"{what} {type(error).__name__}"):
            self._logger.error(f"{what}: {type(error).__name__}: {error}")


def _count_displaced(frame: CameraFrame) -> None:
    frame.camera.statistics.count("dropped_newer")


def _pixels(frame: CameraFrame) -> np.ndarray:
    assert frame.pixels is not None
    return frame.pixels


def _batch_key(frame: CameraFrame) -> BatchKey:
    return _pixels(frame).shape, frame.camera.outputs.has_listener("confidence")
