# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions over the node's services, and the resources of each state."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import DOMAIN, NODE, Camera, FakeEngine, NodeProcess, Vehicle, find_answer, node_here, to_array
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.errors import BisenetError

pytestmark = pytest.mark.timeout(120)

OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR
MANAGED = "/managed/segmentation_node"
TOPIC = "/managed/image"
CAMERA_INFO = "/managed/camera_info"
ARGUMENTS = ("--ros-args", "-r", "__ns:=/managed", "-r", f"/camera/image_raw:={TOPIC}")
# As on Foxy and Galactic, whose rclpy has no lifecycle, and does not end ROS on a signal; what Foxy alone lacks too.
WITHOUT_LIFECYCLE = """
import sys
from functools import partial
import rclpy.node
sys.modules["rclpy.lifecycle"] = None
rclpy.init = partial(rclpy.init, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
del rclpy.signals.SignalHandlerOptions
del rclpy.node.Node.get_fully_qualified_name
from bisenet_ros.node import camera_subscription
from bisenet_ros.node.run_node import run_node
class CallbacksOfFoxy(camera_subscription.SubscriptionEventCallbacks):
    def __init__(self, *, deadline=None, liveliness=None, incompatible_qos=None, use_default_callbacks=True):
        super().__init__()
camera_subscription.SubscriptionEventCallbacks = CallbacksOfFoxy
sys.exit(run_node())
"""

OWN_CONTEXT = """
from rclpy.context import Context
from rclpy.parameter import Parameter
from bisenet_ros.node.segmentation_node import SegmentationNode
context = Context()
context.init()
node = SegmentationNode(context=context, parameter_overrides=[Parameter("model", value="/no/such.onnx")])
node.autostart()
node.close()
"""


@pytest.fixture(scope="module")
def process(vehicle: Vehicle) -> Iterator[NodeProcess]:
    with NodeProcess(DOMAIN, *ARGUMENTS, "-p", "autostart:=false") as process:
        yield process


@pytest.fixture(scope="module")
def masks(vehicle: Vehicle) -> List[Image]:
    return vehicle.listen("/managed/mask", Image)


@pytest.fixture(scope="module")
def camera(vehicle: Vehicle) -> Iterator[Camera]:
    camera = vehicle.camera(TOPIC)
    yield camera
    camera.close()


def enable(vehicle: Vehicle, node: str, data: bool) -> SetBool.Response:
    return vehicle.call(SetBool, f"{node}/enable", SetBool.Request(data=data))


def thread_count() -> int:
    """Threads of this process, those of DDS and of the engine included."""
    return len(list(Path("/proc/self/task").iterdir()))


def publishers(vehicle: Vehicle, topic: str) -> int:
    return len(vehicle.node.get_publishers_info_by_topic(topic))


def messages(vehicle: Vehicle, name: str) -> List[str]:
    return [status.message for status in vehicle.statuses(name)]


def test_without_autostart_the_node_stays_unconfigured(vehicle: Vehicle, process: NodeProcess) -> None:
    status = vehicle.wait_for_status(f"{MANAGED}: segmentation", OK, "unconfigured")
    assert not status.hardware_id, "no engine is loaded yet"
    assert vehicle.state(MANAGED) == "unconfigured"
    assert not vehicle.subscriptions(TOPIC) and not publishers(vehicle, "/managed/mask")


@pytest.mark.parametrize("turn", (1, 2))
def test_transitions_create_and_free_the_resources_of_each_state(
    turn: int, vehicle: Vehicle, process: NodeProcess, camera: Camera, masks: List[Image], image: Image
) -> None:
    """Twice, because what the first time leaves behind shows in the second."""
    assert vehicle.transition("configure", MANAGED)
    vehicle.wait_for(lambda: publishers(vehicle, "/managed/mask") == 1, "the mask's publisher")
    assert not vehicle.subscriptions(TOPIC), "an inactive node does not subscribe"
    for _ in range(2):
        assert vehicle.transition("activate", MANAGED)
        camera.connect(image, masks)
        vehicle.wait_for_subscriptions(CAMERA_INFO, 1)
        assert vehicle.transition("deactivate", MANAGED)
        for topic in (TOPIC, CAMERA_INFO):
            vehicle.wait_for_subscriptions(topic, 0)
    assert vehicle.transition("cleanup", MANAGED)
    vehicle.wait_for(lambda: not publishers(vehicle, "/managed/mask"), "the mask's publisher to go")
    assert vehicle.state(MANAGED) == "unconfigured"


def test_enable_service(
    vehicle: Vehicle, process: NodeProcess, camera: Camera, masks: List[Image], image: Image
) -> None:
    assert vehicle.state(MANAGED) == "unconfigured"
    assert enable(vehicle, MANAGED, False) == SetBool.Response(success=True, message="unconfigured")
    for _ in range(2):
        assert enable(vehicle, MANAGED, True) == SetBool.Response(success=True, message="active")
        vehicle.wait_for(lambda: "starting" in messages(vehicle, f"{MANAGED}: segmentation"), "the start to be told")
        assert enable(vehicle, MANAGED, True).success, "enabling an active node does nothing"
        camera.connect(image, masks)
        assert enable(vehicle, MANAGED, False) == SetBool.Response(success=True, message="inactive")
        assert vehicle.state(MANAGED) == "inactive"
        vehicle.wait_for_status(f"{MANAGED}: camera camera", OK, "inactive")
    assert not process.matching("WARN|ERROR|Traceback"), process.output


@pytest.mark.parametrize(
    "transitions", ((), ("configure",), ("shutdown",)), ids=("unconfigured", "inactive", "finalized")
)
def test_signal_in_each_state(transitions: Tuple[str, ...], vehicle: Vehicle) -> None:
    """See test_run_node.py for the state active."""
    node = "/resting/segmentation_node"
    with NodeProcess(DOMAIN, "--ros-args", "-r", "__ns:=/resting", "-p", "autostart:=false") as process:
        for name in transitions:
            assert vehicle.transition(name, node)
        if transitions == ("shutdown",):
            vehicle.wait_for_status(f"{node}: segmentation", OK, "finalized")
            assert not enable(vehicle, node, True).success, "no transition leaves finalized"
        else:
            vehicle.state(node)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        assert not process.matching("WARN|ERROR|Traceback"), process.output


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_without_rclpys_lifecycle_a_plain_node_has_the_same_topics_and_enable(
    vehicle: Vehicle, image: Image, end: signal.Signals
) -> None:
    node, topic = "/plain/segmentation_node", "/plain_camera/image"
    arguments = ("--ros-args", "-r", "__ns:=/plain", "-r", f"/camera/image_raw:={topic}")
    masks, camera = vehicle.listen("/plain/mask", Image), vehicle.camera(topic)
    with NodeProcess(DOMAIN, *arguments, program=("-c", WITHOUT_LIFECYCLE)) as process:
        camera.connect(image, masks)
        services = dict(vehicle.node.get_service_names_and_types())
        assert f"{node}/enable" in services and f"{node}/change_state" not in services
        names = dict(vehicle.node.get_publisher_names_and_types_by_node("segmentation_node", "/plain"))
        topics = {f"/plain/{name}" for name in ("mask", "confidence", "color_mask", "overlay", "camera_info")}
        assert topics | {"/diagnostics"} <= set(names)
        assert enable(vehicle, node, False) == SetBool.Response(success=True, message="inactive")
        vehicle.wait_for_subscriptions(topic, 0)
        assert enable(vehicle, node, True) == SetBool.Response(success=True, message="active")
        camera.connect(image, masks)
        refused = vehicle.set_parameter("device", "cuda", node)
        assert "is read when the node is configured; start the node again" in refused.reason
        process.send(end)
        assert process.wait() == 0
        assert not process.matching("WARN|ERROR|Traceback"), process.output
    camera.close()


# With a fake engine


def test_cleanup_frees_the_engine_and_configure_loads_a_new_one(image: Image) -> None:
    engines: List[FakeEngine] = []

    def load(*_: Any, **__: Any) -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    with node_here(load=load, autostart=False) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        threads = []
        for turn in range(4):
            assert vehicle.transition("configure") and vehicle.transition("activate")
            camera.connect(image, masks)
            assert vehicle.transition("deactivate")
            assert [engine.closed for engine in engines] == [1] * turn + [0]
            assert vehicle.transition("cleanup")
            assert [engine.closed for engine in engines] == [1] * (turn + 1)
            threads.append(thread_count())
        # Not equal: a thread that DDS starts late, or that ends late, is no leak. A leak adds one in each turn.
        assert threads[-1] - threads[0] < len(threads) - 1, "transitions leave threads behind"


def test_failed_configuration_is_reported_and_can_be_tried_again(image: Image) -> None:
    engines: List[Any] = [BisenetError("the model is\nnot supported"), MemoryError("out of memory"), FakeEngine()]

    def load(*_: Any, **__: Any) -> FakeEngine:
        engine = engines.pop(0)
        if isinstance(engine, Exception):
            raise engine
        return engine

    with node_here(load=load) as (node, vehicle):
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "^could not configure: the model is not supported$")
        answer = enable(vehicle, NODE, True)
        assert answer == SetBool.Response(success=False, message="could not configure: MemoryError: out of memory")
        assert vehicle.state() == "unconfigured"
        assert enable(vehicle, NODE, False) == SetBool.Response(success=True, message="unconfigured")
        assert enable(vehicle, NODE, True).success
        vehicle.wait_for_status(f"{NODE}: segmentation", OK, "running")
        vehicle.camera("/camera/image_raw").connect(image, vehicle.listen("/segmentation/mask", Image))


def test_failed_configuration_is_told_also_in_a_context_of_the_nodes_own() -> None:
    done = subprocess.run([sys.executable, "-c", OWN_CONTEXT], capture_output=True, text=True, timeout=60)
    assert "could not configure: expected a model file at /no/such.onnx" in done.stderr


@pytest.mark.parametrize("transition", (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 99))
def test_invalid_transition_is_refused(transition: int, image: Image) -> None:
    """Requested by number, as lifecycle managers do; rclpy alone would end the node."""
    with fake_node() as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        request = ChangeState.Request(transition=Transition(id=transition))
        assert not vehicle.call(ChangeState, f"{NODE}/change_state", request).success
        assert vehicle.state() == "active"
        vehicle.answer(masks, camera.send(image))


def send_and_hold(engine: FakeEngine, vehicle: Vehicle, camera: Camera, image: Image) -> Image:
    """Sends an image, which the engine takes and keeps until its gate is set."""
    taken = len(engine.batches)
    engine.gate.clear()
    sent = camera.send(image)
    vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take the frame")
    return sent


@contextmanager
def node_at_work(engine: FakeEngine, image: Image) -> Iterator[Vehicle]:
    """A node whose engine has taken a frame and keeps it until its gate is set."""
    with fake_node(engine=engine) as (_, vehicle, _):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, vehicle.listen("/segmentation/mask", Image))
        send_and_hold(engine, vehicle, camera, image)
        yield vehicle


def test_cleanup_is_refused_while_a_plan_is_built_and_old_frames_do_not_reach_a_new_activation(
    image: Image,
) -> None:
    engine = FakeEngine()
    with fake_node(engine=engine) as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        engine.plan = "a plan for 64x48"
        header = send_and_hold(engine, vehicle, camera, image).header
        assert enable(vehicle, NODE, False).success
        assert not vehicle.transition("cleanup")
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "building a plan for 64x48; try again when")
        assert enable(vehicle, NODE, True).success
        engine.plan = ""
        engine.gate.set()
        camera.connect(image, masks)
        assert find_answer(masks, header) is None, "the frame belongs to the activation before"


def test_cleanup_and_shutdown_do_not_wait_for_an_engine_that_hangs(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bisenet_ros.node.segmentation_node.IDLE_TIMEOUT", 0.3)
    engine = FakeEngine()
    with node_at_work(engine, image) as vehicle:
        assert enable(vehicle, NODE, False).success
        assert not vehicle.transition("cleanup") and vehicle.state() == "inactive"
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "the engine is still at work on a frame; try again")
        assert vehicle.transition("shutdown") and engine.closed == 0
        engine.gate.set()


def test_cleanup_waits_for_a_frame_in_the_engine(image: Image) -> None:
    engine = FakeEngine()
    with node_at_work(engine, image) as vehicle:
        assert enable(vehicle, NODE, False).success
        threading.Timer(0.5, engine.gate.set).start()
        assert vehicle.transition("cleanup") and engine.closed == 1


def test_shutdown_does_not_wait_for_a_plan_that_is_built(image: Image) -> None:
    engine = FakeEngine()
    with fake_node(engine=engine) as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        engine.plan = "a plan for 64x48"
        send_and_hold(engine, vehicle, camera, image)
        assert vehicle.transition("shutdown") and vehicle.state() == "finalized"
        assert not engine.closed and not node.close(timeout=0.1), "the engine is still at work"
        assert not vehicle.subscriptions(camera.topic)
        engine.plan = ""
        engine.gate.set()
    assert engine.closed == 1


def test_failed_activation_leaves_no_subscription(image: Image) -> None:
    arguments = ("-p", "cameras:=[front, rear]", "-p", "qos_overrides./rear/image_raw.subscription.depth:=deep")
    with fake_node(*arguments) as (node, vehicle, _):
        status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "could not activate: ")
        assert "qos_overrides./rear/image_raw.subscription.depth" in status.message
        assert vehicle.state() == "inactive"
        vehicle.wait_for(lambda: publishers(vehicle, "/segmentation/front/mask"), "the graph")
        assert not vehicle.subscriptions("/front/image_raw")


def test_failed_configuration_leaves_no_publisher() -> None:
    arguments = ("-p", "qos_overrides./segmentation/camera_info.publisher.reliability:=odd")
    with fake_node(*arguments, autostart=False) as (node, vehicle, _):
        before = len([*node.publishers])
        for _ in range(2):
            assert not vehicle.transition("configure") and vehicle.state() == "unconfigured"
        assert len([*node.publishers]) == before


def test_deactivate_does_not_wait_for_the_engine_but_cleanup_does(image: Image) -> None:
    engine = FakeEngine()
    with fake_node(engine=engine) as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)

        def send_and_deactivate() -> Image:
            """Deactivates the node while the engine has the frame."""
            sent = send_and_hold(engine, vehicle, camera, image)
            assert enable(vehicle, NODE, False).success
            return sent

        sent = send_and_deactivate()
        engine.gate.set()
        vehicle.wait_for(lambda: vehicle.counts()["dropped_inactive"] == 1, "the frame to be dropped")
        assert find_answer(masks, sent.header) is None, "an inactive node publishes no mask"
        assert enable(vehicle, NODE, True).success
        camera.connect(image, masks)

        sent = send_and_deactivate()
        cleanup = vehicle.transition_later("cleanup")
        assert not vehicle.spin_until(cleanup.done, 0.3) and not engine.closed
        engine.gate.set()
        vehicle.wait_for(cleanup.done, "the cleanup")
        assert cleanup.result().success and engine.closed == 1
        assert find_answer(masks, sent.header) is None


def test_engine_that_cannot_be_freed_is_replaced(image: Image) -> None:
    class Stuck(FakeEngine):
        def close(self) -> None:
            raise RuntimeError("the GPU has fallen off the bus")

    engines = [Stuck(), FakeEngine()]
    with node_here(load=lambda *_, **__: engines.pop(0)) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        assert vehicle.transition("deactivate") and vehicle.transition("cleanup")
        assert enable(vehicle, NODE, True).success
        camera.connect(image, masks)
        mask = vehicle.answer(masks, camera.send(image))
        np.testing.assert_array_equal(to_array(mask)[:, :, 0], to_array(image)[:, :, 0])
