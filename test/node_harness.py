"""The node as a process of its own, and the vehicle around it: cameras and listeners in the test, over Fast DDS."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Type, TypeVar

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.dds_profile import PROFILE_VARIABLES, use_shared_memory

PATIENCE = 30.0
"""Seconds until a wait fails: many times what an idle machine needs."""
# Domains of this run's own, so that no other ROS on the network is heard; above 101 their ports would meet others.
DOMAIN, OTHER_DOMAIN = random.SystemRandom().sample(range(1, 102), 2)
OUTCOMES = ("published", "dropped", "skipped", "failed")

T = TypeVar("T")


class NodeProcess:
    """`python -m bisenet_ros.node` with what it prints; ended with its `with` block."""

    def __init__(self, domain: int, *arguments: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
        environment["ROS_DOMAIN_ID"] = str(domain)
        self.lines: List[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bisenet_ros.node", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> NodeProcess:
        return self

    def __exit__(self, *exception: Any) -> None:
        self._process.terminate()  # killed, it would leave its shared memory behind
        try:
            self._process.wait(PATIENCE)
        finally:
            self._process.kill()
        self._reader.join()
        print(self.output)  # pytest shows it beside a failure

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def matching(self, pattern: str) -> List[str]:
        """The lines printed so far that the pattern is found in."""
        return [line for line in list(self.lines) if re.search(pattern, line)]

    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code, once all it printed is in `lines`."""
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def _read(self) -> None:
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))


class Camera:
    """An image publisher whose frames all have a stamp of their own."""

    def __init__(self, vehicle: Vehicle, topic: str, reliability: ReliabilityPolicy) -> None:
        self._vehicle = vehicle
        self.topic = topic
        self.reliability = reliability
        self._publisher = vehicle.node.create_publisher(Image, topic, QoSProfile(depth=1, reliability=reliability))

    def send(self, message: Image) -> Image:
        """Publishes a message under the next stamp."""
        message.header = self._vehicle.next_header()
        self._publisher.publish(message)
        return message

    def connect(self, message: Image, masks: List[Image]) -> None:
        """Waits for a subscription of the camera's own reliability, then for a mask."""
        self._vehicle.wait_for(self._is_followed, f"a subscription to {self.topic} with {self.reliability.name}")
        self.connect_any(message, masks)

    def connect_any(self, message: Image, masks: List[Image]) -> None:
        """Sends until a mask comes back, so that both sides know each other and nothing is under way."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            header = self.send(message).header
            if self._vehicle.spin_until(partial(find_answer, masks, header), 2.0):
                return
        raise AssertionError(f"no mask for the frames on {self.topic} in {PATIENCE} s")

    def close(self) -> None:
        self._vehicle.node.destroy_publisher(self._publisher)

    def _is_followed(self) -> bool:
        asked = self._vehicle.subscriptions(self.topic)
        return asked == [self.reliability] and self._publisher.get_subscription_count() == 1


class Vehicle:
    """The test's side: a ROS node that is spun only while a test waits."""

    def __init__(self, domain: int) -> None:
        use_shared_memory()
        self.domain = domain
        self._context = Context()
        self._context.init(args=[], domain_id=domain)
        self.node = Node("vehicle", context=self._context, use_global_arguments=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._diagnostics = self.listen("/diagnostics", DiagnosticArray)
        self._frames = 0

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    @contextmanager
    def another_node(self, name: str) -> Iterator[Node]:
        """A second node of the test's side, spun with the first."""
        node = Node(name, context=self._context, use_global_arguments=False)
        self._executor.add_node(node)
        try:
            yield node
        finally:
            self._executor.remove_node(node)
            node.destroy_node()

    def camera(self, topic: str, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE) -> Camera:
        return Camera(self, topic, reliability)

    def listen(self, topic: str, message_type: Type[T]) -> List[T]:
        """The messages of a topic, as they come in while a test waits."""
        messages: List[T] = []
        # Deep and reliable, so that the test itself loses nothing.
        profile = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(message_type, topic, messages.append, profile)
        return messages

    def subscriptions(self, topic: str) -> List[ReliabilityPolicy]:
        """What the subscriptions to a topic ask for."""
        return [info.qos_profile.reliability for info in self.node.get_subscriptions_info_by_topic(topic)]

    def call(self, service_type: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(service_type, service)
        self.wait_for(client.service_is_ready, service)
        future = client.call_async(request)
        self.wait_for(future.done, f"an answer of {service}")
        self.node.destroy_client(client)
        return future.result()

    def next_header(self) -> Header:
        self._frames += 1
        header = Header(frame_id="front_camera")
        header.stamp.sec, header.stamp.nanosec = 1000 + self._frames, 123456789
        return header

    def spin_until(self, condition: Callable[[], T], seconds: float) -> Optional[T]:
        """What the condition returns once it is true; None when that takes longer."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                return None
            self._executor.spin_once(timeout_sec=0.02)
        return value

    def wait_for(self, condition: Callable[[], T], what: str) -> T:
        value = self.spin_until(condition, PATIENCE)
        assert value, f"waited {PATIENCE} s for {what}"
        return value

    def answer(self, masks: List[Image], sent: Image) -> Image:
        """The mask of a frame that was sent."""
        return self.wait_for(partial(find_answer, masks, sent.header), f"the mask of {sent.header.stamp}")

    def counts(self, node: str = "/segmentation/segmentation_node") -> Dict[str, int]:
        """What a node says of its frames, from now, at rest: every frame received has its outcome."""
        del self._diagnostics[:]

        def at_rest() -> Optional[Dict[str, int]]:
            # The first message may have been on its way already.
            for values in self._values(node)[1:]:
                counts = {event: int(values[event]) for event in ("received", *OUTCOMES)}
                if counts["received"] == sum(counts[event] for event in OUTCOMES):
                    return counts
            return None

        return self.wait_for(at_rest, f"diagnostics of {node} where received is the sum of {', '.join(OUTCOMES)}")

    def _values(self, node: str) -> List[Dict[str, str]]:
        return [
            {entry.key: entry.value for entry in status.values}
            for array in self._diagnostics
            for status in array.status
            if status.name == f"{node}: segmentation"
        ]


def find_answer(masks: List[Image], header: Header) -> Optional[Image]:
    """The last message under this header's stamp."""
    return next((mask for mask in reversed(masks) if mask.header.stamp == header.stamp), None)


def camera_image(pixels: np.ndarray, encoding: str, *, padding: int = 0) -> Image:
    """H x W (x C) uint8 as a camera driver sends it, its rows followed by `padding` bytes that mean nothing."""
    height, width = pixels.shape[:2]
    row = pixels.reshape(height, -1)
    rubbish = np.random.default_rng(0).integers(0, 256, (height, padding), np.uint8)
    message = Image(encoding=encoding, height=height, width=width, step=row.shape[1] + padding)
    message.data.frombytes(np.hstack((row, rubbish)).tobytes())
    return message


def to_array(message: Image) -> np.ndarray:
    """The pixels of a message whose rows must be unpadded."""
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, -1)
