"""The node's lifecycle over its services, and what each state holds on to."""

from __future__ import annotations

import signal
from typing import Any, Iterator, List, Tuple

import numpy as np
import psutil
import pytest

rclpy = pytest.importorskip("rclpy")
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from node_harness import (  # noqa: E402
    DOMAIN,
    NODE,
    Camera,
    FakeEngine,
    NodeProcess,
    Vehicle,
    camera_image,
    find_answer,
    node_here,
    to_array,
)
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

pytestmark = pytest.mark.timeout(120)

OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR
MANAGED = "/managed/segmentation_node"
TOPIC = "/managed/image"
MANAGED_ARGUMENTS = ("--ros-args", "-r", "__ns:=/managed", "-r", f"/camera/image_raw:={TOPIC}")
# What a Foxy or Galactic is to the node: an rclpy without its lifecycle.
WITHOUT_LIFECYCLE = """
import sys
sys.modules["rclpy.lifecycle"] = None
from bisenet_ros.node.run_node import run_node
sys.exit(run_node())
"""


@pytest.fixture(scope="module")
def process(vehicle: Vehicle) -> Iterator[NodeProcess]:
    with NodeProcess(DOMAIN, *MANAGED_ARGUMENTS, "-p", "autostart:=false") as process:
        yield process


@pytest.fixture(scope="module")
def masks(vehicle: Vehicle) -> List[Image]:
    return vehicle.listen("/managed/mask", Image)


@pytest.fixture(scope="module")
def camera(vehicle: Vehicle) -> Iterator[Camera]:
    camera = vehicle.camera(TOPIC)
    yield camera
    camera.close()


@pytest.fixture(scope="module")
def image() -> Image:
    return camera_image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "bgr8")


def enable(vehicle: Vehicle, node: str, data: bool) -> SetBool.Response:
    return vehicle.call(SetBool, f"{node}/enable", SetBool.Request(data=data))


def publishers(vehicle: Vehicle, topic: str) -> int:
    return len(vehicle.node.get_publishers_info_by_topic(topic))


def test_without_autostart_it_waits_unconfigured(vehicle: Vehicle, process: NodeProcess) -> None:
    status = vehicle.wait_for_status(f"{MANAGED}: segmentation", OK, "unconfigured")
    assert not status.hardware_id, "no engine is loaded yet"
    assert vehicle.state(MANAGED) == "unconfigured"
    assert not vehicle.subscriptions(TOPIC) and not publishers(vehicle, "/managed/mask")


@pytest.mark.parametrize("turn", (1, 2))
def test_its_transitions_make_and_free_what_the_states_need_each_time(
    turn: int, vehicle: Vehicle, process: NodeProcess, camera: Camera, masks: List[Image], image: Image
) -> None:
    """Twice, because what a first turn leaves behind shows in the second."""
    assert vehicle.transition("configure", MANAGED)
    vehicle.wait_for(lambda: publishers(vehicle, "/managed/mask") == 1, "the mask's publisher")
    assert not vehicle.subscriptions(TOPIC), "inactive, it has no use for images"
    for _ in range(2):
        assert vehicle.transition("activate", MANAGED)
        camera.connect(image, masks)
        assert len(vehicle.subscriptions("/managed/camera_info")) == 1
        assert vehicle.transition("deactivate", MANAGED)
        vehicle.wait_for(lambda: not vehicle.subscriptions(TOPIC), "the subscription to end")
        assert not vehicle.subscriptions("/managed/camera_info")
    assert vehicle.transition("cleanup", MANAGED)
    vehicle.wait_for(lambda: not publishers(vehicle, "/managed/mask"), "the mask's publisher to go")
    assert vehicle.state(MANAGED) == "unconfigured"


def test_enable_goes_all_the_way_and_back_and_again(
    vehicle: Vehicle, process: NodeProcess, camera: Camera, masks: List[Image], image: Image
) -> None:
    assert vehicle.state(MANAGED) == "unconfigured"
    assert enable(vehicle, MANAGED, False) == SetBool.Response(success=True, message="unconfigured")
    for _ in range(2):
        assert enable(vehicle, MANAGED, True) == SetBool.Response(success=True, message="active")
        said = vehicle.statuses(f"{MANAGED}: segmentation")
        assert "starting" in [status.message for status in said]
        assert enable(vehicle, MANAGED, True).success, "again is harmless"
        camera.connect(image, masks)
        assert enable(vehicle, MANAGED, False) == SetBool.Response(success=True, message="inactive")
        assert vehicle.state(MANAGED) == "inactive"
        vehicle.wait_for_status(f"{MANAGED}: camera camera", OK, "inactive")
    assert not process.matching("WARN|ERROR|Traceback"), process.output


@pytest.mark.parametrize(
    "transitions", ((), ("configure",), ("shutdown",)), ids=("unconfigured", "inactive", "finalized")
)
def test_a_signal_ends_it_in_every_state_in_which_it_rests(transitions: Tuple[str, ...], vehicle: Vehicle) -> None:
    """Active is test_node_life's."""
    node = "/resting/segmentation_node"
    with NodeProcess(DOMAIN, "--ros-args", "-r", "__ns:=/resting", "-p", "autostart:=false") as process:
        for name in transitions:
            assert vehicle.transition(name, node)
        if transitions == ("shutdown",):
            vehicle.wait_for_status(f"{node}: segmentation", OK, "finalized")
            assert not enable(vehicle, node, True).success, "there is no way back from finalized"
        else:
            vehicle.state(node)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        assert not process.matching("WARN|ERROR|Traceback"), process.output


def test_where_rclpy_has_no_lifecycle_a_plain_node_offers_the_same(vehicle: Vehicle, image: Image) -> None:
    node, topic = "/plain/segmentation_node", "/plain/image"
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
        vehicle.wait_for(lambda: not vehicle.subscriptions(topic), "the subscription to end")
        assert enable(vehicle, node, True) == SetBool.Response(success=True, message="active")
        camera.connect(image, masks)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        assert not process.matching("WARN|ERROR|Traceback"), process.output
    camera.close()


# What only a fake engine shows


def test_the_engine_is_freed_on_cleanup_and_loaded_anew_on_configure(image: Image) -> None:
    engines: List[FakeEngine] = []

    def load(*_: Any, **__: Any) -> FakeEngine:
        engines.append(FakeEngine())
        return engines[-1]

    with node_here(load=load, autostart=False) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        process, threads = psutil.Process(), 0
        for turn in range(4):
            assert vehicle.transition("configure") and vehicle.transition("activate")
            camera.connect(image, masks)
            assert vehicle.transition("deactivate")
            assert [engine.closed for engine in engines] == [1] * turn + [0]
            assert vehicle.transition("cleanup")
            assert [engine.closed for engine in engines] == [1] * (turn + 1)
            threads = threads or process.num_threads()
            assert process.num_threads() <= threads, "a turn leaves threads behind"


def test_a_configuration_that_fails_is_told_and_can_be_tried_again(image: Image) -> None:
    engines: List[Any] = [ValueError("the model is\nof another planet"), MemoryError("no room"), FakeEngine()]

    def load(*_: Any, **__: Any) -> FakeEngine:
        engine = engines.pop(0)
        if isinstance(engine, Exception):
            raise engine
        return engine

    with node_here(load=load) as (node, vehicle):
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "^could not configure: the model is of another planet$")
        answer = enable(vehicle, NODE, True)
        assert answer == SetBool.Response(success=False, message="could not configure: MemoryError: no room")
        assert vehicle.state() == "unconfigured"
        assert enable(vehicle, NODE, True).success
        vehicle.wait_for_status(f"{NODE}: segmentation", OK, "running")
        vehicle.camera("/camera/image_raw").connect(image, vehicle.listen("/segmentation/mask", Image))


@pytest.mark.parametrize("transition", (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 99))
def test_a_transition_that_the_state_does_not_have_is_refused(transition: int, image: Image) -> None:
    """As a lifecycle manager asks for them that does not know of autostart: by number, which rclpy would die of."""
    with node_here(load=lambda *_, **__: FakeEngine()) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        request = ChangeState.Request(transition=Transition(id=transition))
        assert not vehicle.call(ChangeState, f"{NODE}/change_state", request).success
        assert vehicle.state() == "active"
        vehicle.answer(masks, camera.send(image))


def test_while_a_plan_is_built_a_cleanup_is_refused_and_a_new_activation_does_not_get_the_old_frame(
    image: Image,
) -> None:
    engine = FakeEngine()
    with node_here(load=lambda *_, **__: engine) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        taken = len(engine.batches)
        engine.gate.clear()
        engine.plan = "a plan for 64x48"
        header = camera.send(image).header
        vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take the frame")
        assert enable(vehicle, NODE, False).success
        assert not vehicle.transition("cleanup")
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "building a plan for 64x48; try again when")
        assert enable(vehicle, NODE, True).success
        engine.plan = ""
        engine.gate.set()
        camera.connect(image, masks)
        assert find_answer(masks, header) is None, "its activation has ended"


def test_an_activation_that_fails_half_way_leaves_nothing_subscribed(image: Image) -> None:
    arguments = ("-p", "cameras:=[front, rear]", "-p", "qos_overrides./rear/image_raw.subscription.depth:=deep")
    with node_here(*arguments, load=lambda *_, **__: FakeEngine()) as (node, vehicle):
        status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "could not activate: ")
        assert "qos_overrides./rear/image_raw.subscription.depth" in status.message
        assert vehicle.state() == "inactive"
        vehicle.wait_for(lambda: publishers(vehicle, "/segmentation/front/mask"), "the graph")
        assert not vehicle.subscriptions("/front/image_raw")


def test_services_answer_while_the_engine_has_a_frame_and_a_cleanup_waits_for_it(image: Image) -> None:
    engine = FakeEngine()
    with node_here(load=lambda *_, **__: engine) as (node, vehicle):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)

        def send_and_deactivate() -> Image:
            """While the engine has the frame in hand."""
            taken = len(engine.batches)
            engine.gate.clear()
            sent = camera.send(image)
            vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take the frame")
            assert enable(vehicle, NODE, False).success
            return sent

        sent = send_and_deactivate()
        engine.gate.set()
        vehicle.wait_for(lambda: vehicle.counts()["dropped_inactive"] == 1, "the frame to be dropped")
        assert find_answer(masks, sent.header) is None, "no mask comes from a node that is not active"
        assert enable(vehicle, NODE, True).success
        camera.connect(image, masks)

        sent = send_and_deactivate()
        cleanup = vehicle.transition_later("cleanup")
        assert not vehicle.spin_until(cleanup.done, 0.3) and not engine.closed
        engine.gate.set()
        vehicle.wait_for(cleanup.done, "the cleanup")
        assert cleanup.result().success and engine.closed == 1
        assert find_answer(masks, sent.header) is None


def test_an_engine_that_cannot_be_freed_does_not_keep_the_node_from_another(image: Image) -> None:
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
