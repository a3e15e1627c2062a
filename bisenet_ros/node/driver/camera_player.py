# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cameras in a process of their own, so that publishing an image does not keep the listener from an answer."""

import multiprocessing
import signal
import time
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Sequence, Tuple

from builtin_interfaces.msg import Time
from rclpy.publisher import Publisher

from bisenet_ros.node.driver.interval import SentFrame, SentKey
from bisenet_ros.node.driver.ros_client import DriverError, RosClient
from bisenet_ros.node.driver.topics import Topics

END_TIMEOUT = 10.0
"""Seconds that the process has to end."""
CLOSED = (EOFError, BrokenPipeError, ConnectionResetError)
"""What a connection raises when its other side has closed it."""


class TimedImage(NamedTuple):
    """An image message and when to publish it: seconds since the first was asked for."""

    due: float
    message: Any


TimedImages = Callable[[], Iterable[TimedImage]]
"""Called in the cameras' process, so that it is pickled: a function, or a `partial` of one."""


class CameraPlayer:
    """Publishes images under stamps of their own; the cameras are triggered together, as on a vehicle."""

    def __init__(self, topics: Topics, *, domain: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, topics, domain), name="cameras", daemon=True)
        self._process.start()
        theirs.close()
        self.is_playing = False  # whether images of the last `play` are still to come

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def play(self, frames: TimedImages) -> None:
        """Begins to publish; `sent` tells how far it has come."""
        self._connection.send(frames)
        self.is_playing = True

    def sent(self) -> Iterator[Tuple[SentKey, SentFrame]]:
        """The frames published since the last call.

        A frame is told of before it is published, so that its answer cannot come first.

        Raises:
            DriverError: the process has ended. Any error that the source of the frames raised.
        """
        while self._connection.poll():
            try:
                message = self._connection.recv()
            except EOFError:
                raise DriverError("the cameras' process has ended; its messages are above") from None
            if isinstance(message, Exception):
                raise message
            if message is None:
                self.is_playing = False
            else:
                yield message

    def close(self) -> None:
        """Ends the process, whether it is playing or not."""
        self._connection.close()
        self._process.join(END_TIMEOUT)
        self._process.terminate()


def images_at_rate(messages: Sequence[Any], *, rate: float, seconds: float) -> Iterator[TimedImage]:
    """The same messages over and over, `rate` a second. A camera that is late leaves images out."""
    start, due, number = time.monotonic(), 0.0, 0
    while due < seconds:
        yield TimedImage(due, messages[number % len(messages)])
        number += 1
        due = max(due + 1 / rate, time.monotonic() - start)


def _serve(connection: Connection, topics: Topics, domain: int) -> None:
    """The process: plays one source of frames after another, until the other side closes the connection."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, whose end closes the connection
    with suppress(*CLOSED), closing(RosClient(domain, "cameras")) as ros:
        publishers = {
            camera: ros.node.create_publisher(topics.image_type, topics.image(camera), topics.camera_profile)
            for camera in topics.cameras
        }
        while True:
            frames = connection.recv()
            try:
                _play(frames(), publishers, connection)
            except CLOSED:
                raise
            except Exception as error:
                connection.send(error)
            else:
                connection.send(None)


def _play(frames: Iterable[TimedImage], publishers: Dict[str, Publisher], connection: Connection) -> None:
    start, stamp = time.monotonic(), 0
    for number, (due, message) in enumerate(frames):
        if connection.poll(max(0.0, start + due - time.monotonic())):  # closed
            return
        stamp = max(time.time_ns(), stamp + 1)
        message.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        for camera, publisher in publishers.items():
            message.header.frame_id = camera
            connection.send(((camera, stamp), SentFrame(number, time.monotonic_ns())))
            publisher.publish(message)
