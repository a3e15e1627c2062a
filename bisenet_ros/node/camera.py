"""One camera of the node: what comes from it, what goes out beside it, and what is known of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Optional

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage

from bisenet_ros.node import qos, topic_names
from bisenet_ros.node.camera_outputs import CameraOutputs
from bisenet_ros.node.camera_subscription import AnyImage, CameraSubscription
from bisenet_ros.node.diagnostics.frame_statistics import FrameStatistics
from bisenet_ros.node.image_messages import read_compressed_frame, read_frame
from bisenet_ros.node.parameters import Parameters

PLAUSIBLE = 60.0
"""Seconds from stamp to node; beyond them the stamp is of another clock, and no time on the way."""


@dataclass
class CameraFrame:
    """An image on its way through the node.

    Attributes:
        received: when, by time.perf_counter().
        pixels: H x W x 3 uint8 BGR, once converted.
        convert: seconds that took.
        activation: of the pipeline, when the frame came.
    """

    camera: Camera
    message: AnyImage
    received: float
    pixels: Optional[np.ndarray] = None
    convert: float = 0.0
    activation: int = 0

    def read(self) -> np.ndarray:
        """The message's pixels.

        Raises:
            ImageError: they cannot be read.
        """
        read = read_compressed_frame if isinstance(self.message, CompressedImage) else read_frame
        return read(self.message)


class Camera:
    """Reads /NAME/image_raw while it is started and enabled; hands every image on as a `CameraFrame`.

    Attributes:
        clock_offset: seconds by which the last image's stamp lies behind the node's clock where that is too much to be
            its way here, else 0.
    """

    def __init__(
        self,
        node: Node,
        parameters: Parameters,
        name: str,
        *,
        prefix: str,
        colors: np.ndarray,
        receive: Callable[[CameraFrame], None],
    ) -> None:
        self.name = name
        self.statistics = FrameStatistics()
        self.outputs = CameraOutputs(node, prefix=prefix, colors=colors)
        self.subscription: Optional[CameraSubscription] = None
        self._node = node
        self._parameters = parameters
        self._receive = receive
        self._info: Optional[CameraInfo] = None
        self._info_subscription: Optional[Subscription] = None
        self._last_turn = 0.0
        self.clock_offset = 0.0

    @property
    def topic(self) -> str:
        """The images' topic."""
        return self.subscription.topic if self.subscription else topic_names.resolve(self._node, self._image_topic)

    @property
    def is_enabled(self) -> bool:
        return self._parameters.is_enabled(self.name)

    @property
    def camera_info(self) -> Optional[CameraInfo]:
        """The last one that came."""
        return self._info

    def follow(self) -> None:
        """Subscribes if the camera is enabled, else ends the subscription; fits it to what the driver offers."""
        if not self.is_enabled:
            self.stop()
        elif self.subscription is None:
            self._start()
        else:
            self.subscription.follow()

    def stop(self) -> None:
        """Ends the subscriptions."""
        if self.subscription is None:
            return
        self.subscription.close()
        if self._info_subscription is not None:
            self._node.destroy_subscription(self._info_subscription)
        self.subscription = self._info_subscription = self._info = None

    def close(self) -> None:
        self.stop()
        self.outputs.close()

    def age(self, frame: CameraFrame) -> float:
        """Seconds since the frame's stamp, by the node's clock, which may be simulated."""
        stamp = frame.message.header.stamp  # rclpy's Time takes none from before 1970
        return (self._node.get_clock().now().nanoseconds - stamp.sec * 10**9 - stamp.nanosec) / 1e9

    def is_stale(self, frame: CameraFrame) -> bool:
        max_age = self._parameters["max_age"]
        return max_age > 0 and self.age(frame) > max_age

    @property
    def _image_topic(self) -> str:
        return f"/{self.name}/image_raw"

    def _start(self) -> None:
        self.subscription = CameraSubscription(
            self._node,
            self._image_topic,
            self._take,
            transport=self._parameters["transport"],
            reliability=self._parameters.reliability,
            on_lost=lambda number: self.statistics.count("lost_in_transport", number),
        )
        # Where drivers and image_transport put it: beside the images, wherever those were remapped to.
        info_topic = topic_names.resolve(self._node, self._image_topic).rsplit("/", 1)[0] + "/camera_info"
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
        with qos.named_errors(self._node, info_topic, "subscription"):
            self._info_subscription = self._node.create_subscription(
                CameraInfo, info_topic, self._keep_info, profile, **qos.overridable(*qos.ALL)
            )

    def _keep_info(self, info: CameraInfo) -> None:
        self._info = info
        self.statistics.count("camera_infos")

    def _take(self, message: AnyImage) -> None:
        self.statistics.count("received")
        frame = CameraFrame(self, message, received=time.perf_counter())
        age = self.age(frame)
        self.clock_offset = 0.0 if 0 <= age < PLAUSIBLE else age
        if not self.clock_offset:
            self.statistics.add_seconds(receive=age)
        if not self._has_turn(frame.received):
            self.statistics.count("dropped_rate")
            return
        self._receive(frame)

    def _has_turn(self, now: float) -> bool:
        """Whether an image of now keeps to `publish_rate`."""
        rate = self._parameters["publish_rate"]
        if not rate:
            return True
        turn = self._last_turn + 1 / rate
        if now < turn:
            return False
        # A camera is never quite on time: the next turn follows this turn, not the image that took it.
        self._last_turn = max(turn, now - 0.5 / rate)
        return True
