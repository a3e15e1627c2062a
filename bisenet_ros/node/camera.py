# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""One camera of the node: its subscriptions, its publishers, and its statistics."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Callable, Deque, Optional, Tuple

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo

from bisenet_ros.engines.cpu.temporal_smoothing import TemporalSmoothing
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.input_size import Size
from bisenet_ros.node.camera_confidence import CameraConfidence
from bisenet_ros.node.camera_outputs import CameraOutputs
from bisenet_ros.node.camera_subscription import CameraSubscription
from bisenet_ros.node.frame_statistics import FrameStatistics
from bisenet_ros.node.image_messages import AnyImage, stamp_seconds
from bisenet_ros.node.parameters import Parameters
from bisenet_ros.node.rate_limit import RateLimit

MAX_PLAUSIBLE_AGE = 60.0
"""Seconds from an image's stamp to its arrival; with a larger difference the stamp is taken to be of another clock."""
CLOCK_STEP = 0.1
"""Seconds by which a stamp may be ahead of the node's clock, as with a simulated one, which goes in steps."""
IMAGE_INTERVALS = 3
"""The last intervals between images, of which the shortest counts: a pause is not the camera's rate."""
MOST_CAMERA_INFOS = 64
"""As many as come while a frame is in the node, and more."""
MANY_RESTARTS = 5
"""Consecutive frames without a usable previous frame, after which the log warns that smoothing has no effect."""


@dataclass
class CameraFrame:
    """An image on its way through the node.

    Attributes:
        received: when it arrived, by time.perf_counter().

    `Pipeline` sets the other attributes, which do not exist before:
        activation: its number of the activation in which the frame was put into it; set in `put`.
        pixels, convert: H x W x 3 uint8 BGR, and the seconds that the conversion took; set by the converting thread.
        mask, confidence: H x W uint8, the confidence None where it was not computed; set by the engine's thread, before
            it publishes the mask.
        camera_info: the camera's at the image's stamp, None before and where there is none; set after the mask is
            published.
    """

    camera: Camera
    message: AnyImage
    received: float
    activation: int = field(init=False)
    pixels: np.ndarray = field(init=False)
    convert: float = field(init=False)
    camera_info: Optional[CameraInfo] = field(init=False, default=None)
    mask: np.ndarray = field(init=False)
    confidence: Optional[np.ndarray] = field(init=False)


class Camera:
    """Subscribes to the camera's images while it is enabled, and passes each on as a `CameraFrame`.

    Attributes:
        clock_offset: seconds by which the last image's stamp is behind the node's clock, where that is too much to be
            the image's age; else 0.
        last_image: when the last image was received, by `time.monotonic`; 0 before the first.
        sizes: (height, width) of the last frame segmented, and of what the network got; None before.
        dark_images: how many images of 16 bits in a row were all but black.
        derived_failure: the last reason for which confidence, ground grid or pictures could not be published.
    """

    def __init__(
        self, node: Node, parameters: Parameters, name: str, *, classes: ClassMap, put: Callable[[CameraFrame], None]
    ) -> None:
        """Raises BisenetError where the parameter `NAME.ignore_mask` cannot be used."""
        self.name = name
        self.statistics = FrameStatistics()
        self.confidence = CameraConfidence(node, parameters, name)
        self.subscription = CameraSubscription(
            node,
            parameters,
            name,
            on_image=self._take_image,
            on_camera_info=self._take_camera_info,
            on_lost=lambda number: self.statistics.count("lost_in_transport", number),
        )
        self.outputs = CameraOutputs(node, parameters, name, classes=classes, info_topic=self.subscription.info_topic)
        self.clock_offset = self.last_image = 0.0
        self._intervals: Deque[float] = deque(maxlen=IMAGE_INTERVALS)
        self.dark_images = 0
        self.derived_failure = ""
        self.sizes: Optional[Tuple[Size, Size]] = None
        self._smoothing = TemporalSmoothing()
        self._camera_infos: Deque[Tuple[Tuple[int, int], CameraInfo]] = deque(maxlen=MOST_CAMERA_INFOS)
        self._node = node
        self._parameters = parameters
        self._put = put
        self._rate_limit = RateLimit()

    @property
    def is_enabled(self) -> bool:
        return self._parameters.is_enabled(self.name)

    @property
    def image_interval(self) -> float:
        """Seconds between two images of the camera; 0 until there were some."""
        return min(self._intervals) if len(self._intervals) == IMAGE_INTERVALS else 0.0

    def smooth(self, logits: np.ndarray, frame: CameraFrame) -> np.ndarray:
        """The logits of the frame, averaged with those before it; see `TemporalSmoothing`."""
        seconds = stamp_seconds(frame.message.header)
        return self._smoothing.smooth(logits, frame.pixels, stamp=seconds, past=self._parameters["smoothing"])

    @property
    def smoothing_has_no_effect(self) -> bool:
        """Whether the last frames were too far apart, or of different sizes, so that `smooth` had no effect."""
        return self._smoothing.restarts >= MANY_RESTARTS

    @property
    def needs_confidence(self) -> bool:
        """Whether the confidence of the next frame is to be computed, pixel by pixel."""
        return self.outputs.has_subscriber("confidence") or self.confidence.is_needed

    def update_subscription(self) -> None:
        """Subscribes if the camera is enabled, unsubscribes if not; adapts to what the topic's publishers offer."""
        if self.is_enabled:
            self.subscription.update()
        else:
            self.stop()

    def stop(self) -> None:
        """Unsubscribes."""
        self.subscription.close()
        self._camera_infos.clear()
        self._intervals.clear()

    def close(self) -> None:
        self.stop()
        self.outputs.close()

    def camera_info_at(self, stamp: Time) -> Optional[CameraInfo]:
        """The camera_info that has an image's stamp, else the last one; None where none has come."""
        infos = list(self._camera_infos)  # at once: the executor's thread adds to them
        matching = [info for at, info in infos if at == (stamp.sec, stamp.nanosec)]
        return (matching or [info for _, info in infos] or [None])[-1]

    def age(self, frame: CameraFrame) -> float:
        """Seconds since the frame's stamp, by the node's clock, which may be simulated."""
        stamp = frame.message.header.stamp  # not by rclpy's Time, which refuses stamps before 1970
        return (self._node.get_clock().now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec) / 1e9

    def is_stale(self, frame: CameraFrame) -> bool:
        """Whether the frame is older than the parameter `max_age`."""
        max_age = self._parameters["max_age"]
        return max_age > 0 and self.age(frame) > max_age

    def _take_camera_info(self, info: CameraInfo) -> None:
        self._camera_infos.append(((info.header.stamp.sec, info.header.stamp.nanosec), info))
        self.statistics.count("camera_infos")

    def _take_image(self, message: AnyImage) -> None:
        self.statistics.count("received")
        now = time.monotonic()
        self._intervals.append(now - self.last_image)
        self.last_image = now
        frame = CameraFrame(self, message, received=time.perf_counter())
        age = self.age(frame)
        self.clock_offset = 0.0 if -CLOCK_STEP < age < MAX_PLAUSIBLE_AGE else age
        if not self.clock_offset:
            self.statistics.add_seconds(receive=max(0.0, age))
        if not self._rate_limit.allows(frame.received, rate=self._parameters["publish_rate"]):
            self.statistics.count("dropped_rate")
            return
        self._put(frame)
