# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Takes frames through the node: wait, convert, segment, publish."""

import threading
import time
from typing import Callable, Dict, List, Optional, Tuple

from rclpy.context import Context
from rclpy.impl.rcutils_logger import RcutilsLogger

from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.engines.cpu.temporal_smoothing import LONGEST_GAP
from bisenet_ros.engines.engine import Engine, FatalEngineError, Segmentation
from bisenet_ros.errors import ImageError
from bisenet_ros.node.camera import CameraFrame
from bisenet_ros.node.derived_topics import DerivedTopics
from bisenet_ros.node.frame_queue import FrameQueue
from bisenet_ros.node.ground_grid import GroundGrid
from bisenet_ros.node.image_messages import read_frame, uses_low_bits
from bisenet_ros.node.parameters import Parameters, error_text

LOG_PERIOD = 5.0
"""Seconds between two log lines with the same reason."""
MANY_DARK_IMAGES = 30
"""Consecutive images of 16 bits that are all but black, after which the log says why that may be."""
MAX_FAILURES = 3
"""Consecutive failed batches, each tried twice, after which the engine is given up."""


class Pipeline:
    """Segments the newest frame of every camera.

    The executor's thread puts messages in, a second thread converts them, a third runs the engine and publishes the
    masks. So the next frame is converted while the engine works on the one before. `DerivedTopics` publishes the rest.
    """

    def __init__(
        self,
        engine: Engine,
        parameters: Parameters,
        *,
        ground_grid: GroundGrid,
        on_fault: Callable[[Exception], None],
        logger: RcutilsLogger,
        context: Context,
    ) -> None:
        """Calls `on_fault`, on the engine's thread, with the error for which the engine was given up.

        Once `context`, the node's, is shut down, no errors are logged.
        """
        self._active = False  # whether masks are published
        self._engine = engine
        self._parameters = parameters
        self._on_fault = on_fault
        self._logger = logger
        self._context = context
        self._next_log: Dict[str, float] = {}
        self._failures = 0
        self._activation = 0
        self._idle = threading.Event()
        self._idle.set()
        self._messages: FrameQueue[CameraFrame] = FrameQueue(_count_displaced)
        self._frames: FrameQueue[CameraFrame] = FrameQueue(_count_displaced)
        self._derived_topics = DerivedTopics(parameters, ground_grid=ground_grid, on_error=self._log_error)
        self._threads = [
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True)
            for target in (self._convert_all, self._segment_all)
        ]
        for thread in self._threads:
            thread.start()

    def put(self, frame: CameraFrame) -> None:
        """Takes a frame, which displaces the camera's waiting one."""
        frame.activation = self._activation
        self._messages.put(frame.camera.name, frame)

    def start(self) -> None:
        """Publishes masks of the frames that are put from now on, not of earlier ones still in the pipeline."""
        self._activation += 1
        self._failures = 0
        self._active = True

    def stop(self) -> None:
        """Publishes no more masks; drops the waiting frames."""
        self._active = False
        for frame in (*self._messages.clear(), *self._frames.clear()):
            frame.camera.statistics.count("dropped_inactive")
        self._derived_topics.clear()

    def is_idle(self, *, timeout: float) -> bool:
        """Whether the engine is at work on no frame, after at most so many seconds; after `stop` it then stays so."""
        return self._idle.wait(timeout)

    def close(self, *, timeout: Optional[float] = None) -> bool:
        """Ends the threads after their current frame; False if one still runs after `timeout` seconds."""
        self.stop()
        self._messages.close()
        self._frames.close()
        self._derived_topics.close()
        threads = [*self._threads, *self._derived_topics.threads]
        end = time.monotonic() + (timeout or 0.0)
        for thread in threads:
            thread.join(None if timeout is None else max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _drop_unwanted(self, frame: CameraFrame) -> bool:
        """Drops and counts a frame that is inactive or stale; whether it did."""
        if not self._is_wanted(frame):
            frame.camera.statistics.count("dropped_inactive")
            return True
        if frame.camera.is_stale(frame):
            frame.camera.statistics.count("dropped_stale")
            return True
        return False

    def _is_wanted(self, frame: CameraFrame) -> bool:
        return self._active and frame.activation == self._activation and frame.camera.is_enabled

    # On the converting thread

    def _convert_all(self) -> None:
        while frames := self._messages.take():
            for frame in frames:
                if self._convert(frame):
                    self._frames.put(frame.camera.name, frame)

    def _convert(self, frame: CameraFrame) -> bool:
        start = time.perf_counter()
        try:
            if self._drop_unwanted(frame):
                return False
            frame.pixels = read_frame(frame.message)
            self._note_darkness(frame)
            frame.camera.confidence.check_size(frame.pixels.shape[:2])
        except ImageError as error:
            frame.camera.statistics.count("skipped")
            frame.camera.statistics.count(f"skipped_{error.reason}")
            if self._may_log(f"{frame.camera.name} {error.reason}"):
                self._logger.warning(f"skipped an image of {frame.camera.subscription.topic}: {error}")
            return False
        except Exception as error:  # such as out of memory: one bad image must not end the node
            self._count_failed([frame], error, "could not read an image")
            return False
        frame.convert = time.perf_counter() - start
        return True

    def _note_darkness(self, frame: CameraFrame) -> None:
        camera = frame.camera
        camera.dark_images = camera.dark_images + 1 if uses_low_bits(frame.message, frame.pixels) else 0
        if camera.dark_images == MANY_DARK_IMAGES:
            self._logger.warning(
                f"images on {camera.subscription.topic} are nearly black: of their 16 bits the upper 8 are used; if "
                "the driver puts 10 or 12 bits at the lower end, let it scale them to 16, or publish 8"
            )

    # On the engine's thread

    def _segment_all(self) -> None:
        while frames := self._frames.take(self._engine.max_batch):
            self._idle.clear()
            try:
                batches: Dict[Tuple, List[CameraFrame]] = {}
                for frame in frames:
                    if not self._drop_unwanted(frame):
                        with_confidence = self._has_confidence(frame)
                        batches.setdefault((frame.pixels.shape, with_confidence), []).append(frame)
                for (_, with_confidence), batch in batches.items():
                    self._segment(batch, with_confidence)
            except Exception as error:  # the next frame may be fine; at the shutdown, ROS ends before this thread
                self._log_error("could not segment images", error)
            finally:
                self._idle.set()

    def _has_confidence(self, frame: CameraFrame) -> bool:
        """Whether the frame is segmented with its confidence: where that is needed, and the engine gives it."""
        engine, confidence = self._engine, frame.camera.confidence
        if not engine.has_confidence and confidence.has_min_confidence and self._may_log("min_confidence"):
            self._logger.warning(f"min_confidence has no effect: {engine.description} gives no confidence")
        return engine.has_confidence and frame.camera.needs_confidence

    def _segment(self, frames: List[CameraFrame], with_confidence: bool) -> None:
        """Segments and publishes frames of one size."""
        start = time.perf_counter()
        try:
            results = self._run_engine(frames, with_confidence)
        except Exception as error:
            self._count_engine_failure(frames, error)
            return
        self._failures = 0
        engine = time.perf_counter() - start
        due: List[Tuple[int, CameraFrame]] = []
        for place, (frame, result) in enumerate(zip(frames, results)):
            size = frame.pixels.shape[:2]
            frame.camera.sizes = size, self._engine.network_size(*size)
            wait = start - frame.received - frame.convert
            frame.camera.statistics.add_seconds(wait=wait, convert=frame.convert, engine=engine)
            if self._publish(frame, result) and frame.camera.confidence.is_due:
                due.append((place, frame))
        self._measure_confidence(due, with_confidence)

    def _measure_confidence(self, due: List[Tuple[int, CameraFrame]], with_confidence: bool) -> None:
        """Measures the confidence of `due`, frames whose masks were published, with their places in the batch."""
        if not due:
            return
        try:
            logits = None if with_confidence else self._engine.last_logits()
            for place, frame in due:
                frame.camera.confidence.measure(frame.confidence, None if logits is None else logits[place])
        except Exception as error:
            self._log_error("could not measure the confidence", error)

    def _run_engine(self, frames: List[CameraFrame], confidence: bool) -> List[Segmentation]:
        try:
            return self._results(frames, confidence)
        except FatalEngineError:
            raise
        except Exception as error:
            if self._may_log("retry"):
                self._logger.warning(f"the engine failed, and is tried once more: {error_text(error)}")
            return self._results(frames, confidence and self._engine.has_confidence)

    def _results(self, frames: List[CameraFrame], confidence: bool) -> List[Segmentation]:
        """What the engine makes of frames; smoothed over time where the parameter `smoothing` asks for it."""
        engine, is_smoothed = self._engine, self._parameters["smoothing"] > 0
        if is_smoothed and isinstance(engine, CpuEngine):
            return [self._segment_smoothed(engine, frame, confidence=confidence) for frame in frames]
        if is_smoothed and self._may_log("smoothing"):
            self._logger.warning(f"smoothing has no effect: {engine.description} does not give its logits")
        return engine.segment_batch([frame.pixels for frame in frames], confidence=confidence)

    def _segment_smoothed(self, engine: CpuEngine, frame: CameraFrame, *, confidence: bool) -> Segmentation:
        camera, size = frame.camera, frame.pixels.shape[:2]
        logits = camera.smooth(engine.frame_logits(frame.pixels, engine.network_size(*size)), frame)
        if camera.smoothing_has_no_effect and self._may_log(f"smoothing of {camera.name}"):
            self._logger.warning(
                f"smoothing has no effect on {camera.name}: by their stamps its frames are more than {LONGEST_GAP:g} s "
                "apart, or their size changes; see publish_rate, or choose a smaller network_size"
            )
        return engine.upsample(logits, size, confidence=confidence)

    def _count_engine_failure(self, frames: List[CameraFrame], error: Exception) -> None:
        """Counts a failure, and gives the engine up after MAX_FAILURES in a row, or a fatal one."""
        is_fatal = isinstance(error, FatalEngineError)
        self._count_failed(frames, error, "the engine failed" if is_fatal else "the engine failed twice on an image")
        self._failures = MAX_FAILURES if is_fatal else self._failures + 1
        if self._failures == MAX_FAILURES:
            self._failures = 0
            self._active = False  # before the next frame, not only when the executor's thread deactivates the node
            self._on_fault(error)

    def _publish(self, frame: CameraFrame, segmentation: Segmentation) -> bool:
        """Publishes the mask without its unknown pixels, and passes the frame on; whether it was published."""
        camera, header = frame.camera, frame.message.header
        if not self._is_wanted(frame):
            camera.statistics.count("dropped_inactive")
            return False
        segmented = time.perf_counter()
        try:
            frame.mask, frame.confidence = camera.confidence.hide_unknown(*segmentation)
            camera.outputs.publish_mask(frame.mask, header)
        except Exception as error:
            self._count_failed([frame], error, "could not publish a mask")
            return False
        published = time.perf_counter()
        camera.statistics.count("published")
        camera.statistics.add_seconds(publish=published - segmented, total=published - frame.received)
        try:
            frame.camera_info = camera.camera_info_at(header.stamp)
            if frame.camera_info is not None:
                camera.outputs.publish_camera_info(frame.camera_info, header)
            if self._is_wanted(frame):
                self._derived_topics.put(frame)
        except Exception as error:
            self._log_error("could not publish the topics that belong to a mask", error)
        return True

    def _count_failed(self, frames: List[CameraFrame], error: Exception, what: str) -> None:
        for frame in frames:
            frame.camera.statistics.count("failed")
        self._log_error(what, error)

    def _log_error(self, what: str, error: Exception) -> None:
        if self._context.ok() and self._may_log(f"{what} {type(error).__name__}"):
            self._logger.error(f"{what}: {error_text(error)}")

    def _may_log(self, reason: str) -> bool:
        """True once per reason and LOG_PERIOD, so that a stream of bad frames does not flood the log."""
        now = time.monotonic()
        if now < self._next_log.get(reason, now):
            return False
        self._next_log[reason] = now + LOG_PERIOD
        return True


def _count_displaced(frame: CameraFrame) -> None:
    frame.camera.statistics.count("dropped_newer")
