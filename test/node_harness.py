# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node as a process of its own, and the vehicle around it: cameras and listeners in the test, over Fast DDS."""

from __future__ import annotations

import gc
import os
import re
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, Type, TypeVar

import numpy as np
import rclpy
from camvid_classes import CAMVID
from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from ros_domains import new_domain
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.node.driver import node_process
from bisenet_ros.node.driver.diagnostics_listener import DiagnosticsListener
from bisenet_ros.node.driver.diagnostics_listener import values_of as values_of  # noqa: F401, for the tests
from bisenet_ros.node.driver.ros_client import DriverError, RosClient
from bisenet_ros.node.fastdds import PROFILE_VARIABLES
from bisenet_ros.node.segmentation_node import SegmentationNode

PATIENCE = 30.0
"""Seconds until a wait fails: many times what an idle machine needs."""
DOMAIN, OTHER_DOMAIN = new_domain(), new_domain()

NODE = "/segmentation/segmentation_node"
CAMERA = f"{NODE}: camera camera"
"""The status of the only camera of a node with no arguments."""
QUICK_DIAGNOSTICS = ("-p", "diagnostics_rate:=10.0")
"""For tests that wait for what a node says of itself."""

T = TypeVar("T")


class NodeProcess(node_process.NodeProcess):
    """The driver's, in an environment that nobody has told of the shared-memory profile."""

    def __init__(self, domain: int, *arguments: str, program: Sequence[str] = node_process.SEGMENTATION_NODE) -> None:
        super().__init__(arguments, domain=domain, program=program, environment=stock_environment(domain))

    def close(self) -> None:
        super().close()
        print(self.output)  # pytest shows it beside a failure

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def matching(self, pattern: str) -> List[str]:
        """The lines printed so far that the pattern is found in."""
        return [line for line in list(self.lines) if re.search(pattern, line)]


class FakeEngine(Engine):
    """Masks that are the frame's first channel, at no cost, and confidences that are its second.

    Attributes:
        seconds: what a batch takes.
        gate: a batch waits at it until it is set, as it is at first.
        faults: raised by the next batches, one each.
        batches: how many frames the batches so far had.
        plan: what it says to be building.
        closed: how often it was freed.
    """

    def __init__(self, *, max_batch: int = 1) -> None:
        card = ModelCard(name="fake", classes=CAMVID, mean=(0.4,) * 3, std=(0.3,) * 3, network_size=(360, 480))
        super().__init__(card, description="fake", max_batch=max_batch)
        self.seconds = 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.faults: List[Exception] = []
        self.batches: List[int] = []
        self.plan = ""
        self.closed = 0

    @property
    def building(self) -> str:
        return self.plan

    def close(self) -> None:
        self.closed += 1

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        return self._segment_batch([frame], confidence=confidence)[0]

    def _segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool) -> List[Segmentation]:
        self.batches.append(len(frames))
        assert self.gate.wait(PATIENCE)
        time.sleep(self.seconds)
        if self.faults:
            raise self.faults.pop(0)
        return [Segmentation(frame[:, :, 0], frame[:, :, 1] if confidence else None) for frame in frames]


@contextmanager
def node_here(
    *arguments: str, load: Callable[..., Engine], autostart: bool = True
) -> Iterator[Tuple[SegmentationNode, Vehicle]]:
    """For what cannot be seen from outside: the same node in this process, on a domain of its own."""
    gc.collect()  # else rclpy's lifecycle keeps an earlier test's node, with services of the same names
    ros_arguments = ["--ros-args", *QUICK_DIAGNOSTICS, *arguments]
    rclpy.init(args=ros_arguments, domain_id=OTHER_DOMAIN, signal_handler_options=SignalHandlerOptions.NO)
    node, vehicle = SegmentationNode(load=load), Vehicle(OTHER_DOMAIN)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    if autostart:
        node.autostart()
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield node, vehicle
    finally:
        vehicle.close()
        executor.shutdown()
        thread.join()
        node.close()
        node.destroy_node()
        rclpy.shutdown()


class Camera:
    """A publisher, of images unless told otherwise, whose frames all have a stamp of their own."""

    def __init__(self, vehicle: Vehicle, topic: str, reliability: ReliabilityPolicy, kind: Any) -> None:
        self._vehicle = vehicle
        self.topic = topic
        self.reliability = reliability
        self._publisher = vehicle.node.create_publisher(kind, topic, QoSProfile(depth=1, reliability=reliability))

    def send(self, message: T) -> T:
        """Publishes a message under the next stamp."""
        message.header = self._vehicle.next_header()
        return self.send_as_it_is(message)

    def send_as_it_is(self, message: T) -> T:
        """Publishes a message under the header that it has."""
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


class Vehicle(RosClient):
    """The test's side: cameras and listeners, and what operators do to a node."""

    def __init__(self, domain: int) -> None:
        super().__init__(domain, "vehicle")
        self.diagnostics = DiagnosticsListener(self)
        self._frames = 0

    def listen(self, topic: str, message_type: Type[T]) -> List[T]:
        """The messages of a topic, as they come in while somebody waits."""
        messages: List[T] = []
        self.subscribe(topic, message_type, messages.append)
        return messages

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

    def camera(
        self, topic: str, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE, kind: Any = Image
    ) -> Camera:
        return Camera(self, topic, reliability, kind)

    def subscriptions(self, topic: str) -> List[ReliabilityPolicy]:
        """What the subscriptions to a topic ask for."""
        return [info.qos_profile.reliability for info in self.node.get_subscriptions_info_by_topic(topic)]

    def wait_for_subscriptions(self, topic: str, number: int) -> None:
        """Each subscription is discovered on its own: none of them says that another has come or gone."""
        self.wait_for(lambda: len(self.subscriptions(topic)) == number, f"{number} subscriptions to {topic}")

    def call(self, service_type: Any, service: str, request: Any) -> Any:
        client = self.node.create_client(service_type, service)
        self._wait_for_service(client, service)
        future = client.call_async(request)
        self.wait_for(future.done, f"an answer of {service}")
        self.node.destroy_client(client)
        return future.result()

    def _wait_for_service(self, client: Client, service: str) -> None:
        """Waits until both sides know each other: a node that does not know the client yet answers nobody."""
        self.wait_for(client.service_is_ready, service)
        self.spin_until(lambda: False, 0.05)  # the client cannot see what the other side knows

    def next_header(self) -> Header:
        self._frames += 1
        header = Header(frame_id="front_camera")
        header.stamp.sec, header.stamp.nanosec = 1000 + self._frames, 123456789
        return header

    def wait_for(self, condition: Callable[[], Optional[T]], what: str, seconds: float = PATIENCE) -> T:
        return super().wait_for(condition, what, seconds)

    def answer(self, masks: List[Image], sent: Image) -> Image:
        """The mask of a frame that was sent."""
        return self.wait_for(partial(find_answer, masks, sent.header), f"the mask of {sent.header.stamp}")

    def counts(self, node: str = NODE, *, camera: str = "camera") -> Dict[str, int]:
        """What a node says of a camera's frames, from now, at rest; "dropped" is the sum of all reasons to drop one."""
        name = f"{node}: camera {camera}"
        self.diagnostics.forget()
        found = self.wait_for(partial(self.diagnostics.counts_at_rest, name), f"{name} to be at rest")
        return {**found, "dropped": sum(count for key, count in found.items() if key.startswith("dropped"))}

    def statuses(self, name: str) -> List[DiagnosticStatus]:
        """The statuses of this name that have come so far."""
        return [status for array in self.diagnostics.messages for status in array.status if status.name == name]

    def wait_for_status(self, name: str, level: bytes, words: str) -> DiagnosticStatus:
        """The next status of this name, from now, with the level and the words (a pattern)."""
        self.diagnostics.forget()

        def found() -> Optional[DiagnosticStatus]:
            fitting = [s for s in self.statuses(name) if s.level == level and re.search(words, s.message)]
            return fitting[0] if fitting else None

        try:
            return self.wait_for(found, "")
        except DriverError:
            said = sorted({(status.level, status.message) for status in self.statuses(name)})
            raise AssertionError(f"waited {PATIENCE} s for {name} to say {level!r} {words!r}; it said {said}") from None

    def transition(self, name: str, node: str = NODE) -> bool:
        """Asks a node for a lifecycle transition, such as "activate"; whether it succeeded."""
        future = self.transition_later(name, node)
        self.wait_for(future.done, f"{node} to {name}")
        return future.result().success

    def transition_later(self, name: str, node: str = NODE) -> Future:
        """The same, without waiting for the answer."""
        client = self.node.create_client(ChangeState, f"{node}/change_state")
        self._wait_for_service(client, f"{node}/change_state")
        future = client.call_async(ChangeState.Request(transition=Transition(label=name)))
        future.add_done_callback(lambda _: self.node.destroy_client(client))
        return future

    def state(self, node: str = NODE) -> str:
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def set_parameter(self, name: str, value: Any, node: str = NODE) -> SetParametersResult:
        request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
        return self.call(SetParameters, f"{node}/set_parameters", request).results[0]


def stock_environment(domain: int) -> Dict[str, str]:
    """Of a process that nobody has told of the shared-memory profile."""
    environment = {name: value for name, value in os.environ.items() if name not in PROFILE_VARIABLES}
    return {**environment, "ROS_DOMAIN_ID": str(domain)}


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
