"""What a camera, a network, an engine or a clock can do to the node, and how it goes on."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Tuple

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy")
from builtin_interfaces.msg import Time  # noqa: E402
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from node_harness import (  # noqa: E402
    CAMERA,
    DOMAIN,
    NODE,
    QUICK_DIAGNOSTICS,
    FakeEngine,
    NodeProcess,
    Vehicle,
    camera_image,
    node_here,
    to_array,
    values_of,
)
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

pytestmark = pytest.mark.timeout(120)

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
NODE_WITH_STAND_IN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from node_harness import FakeEngine
from bisenet_ros.node.run_node import run_node
engine = FakeEngine()
engine.seconds = float(sys.argv.pop(1))
sys.exit(run_node(load=lambda *_, **__: engine))
"""
SUBSCRIBER = """
import sys
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("subscriber")
node.create_subscription(Image, sys.argv[1], lambda _: print("a mask", flush=True), 5)
rclpy.spin(node)
"""


@pytest.fixture(scope="module")
def image() -> Image:
    return camera_image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "bgr8")


@contextmanager
def fake_engine_node(*arguments: str) -> Iterator[Tuple[FakeEngine, Vehicle, List[Image]]]:
    engine = FakeEngine()
    with node_here(*arguments, load=lambda *_, **__: engine) as (_, vehicle):
        yield engine, vehicle, vehicle.listen("/segmentation/mask", Image)


# The engine


def test_an_engine_that_fails_once_is_tried_again_and_no_frame_is_lost(image: Image) -> None:
    with fake_engine_node() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        before = vehicle.counts()
        for fault in (RuntimeError("a hiccup"), MemoryError()):
            engine.faults.append(fault)
            mask = vehicle.answer(masks, camera.send(image))
            np.testing.assert_array_equal(to_array(mask)[:, :, 0], to_array(image)[:, :, 0])
        after = vehicle.counts()
        assert (after["published"] - before["published"], after["failed"]) == (2, 0)
        assert values_of(vehicle.statuses(f"{NODE}: segmentation")[-1])["engine_faults"] == "0"


@pytest.mark.parametrize("kind", (RuntimeError, MemoryError))
def test_an_engine_that_goes_on_failing_makes_it_inactive_with_the_reason_and_can_be_brought_back(
    kind: type, image: Image
) -> None:
    with fake_engine_node() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for turn in (1, 2):
            engine.faults += [kind("the GPU has fallen off the bus")] * 100

            def sending() -> bool:
                camera.send(image)
                return vehicle.state() == "inactive"

            vehicle.wait_for(sending, "the engine to be given up")
            words = f"^engine fault: {kind.__name__}: the GPU has fallen off the bus; .*/enable .* brings it back"
            status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, words)
            assert values_of(status)["engine_faults"] == str(turn) and values_of(status)["state"] == "inactive"
            assert vehicle.counts()["failed"] == 3 * turn, "three frames, each tried twice"
            assert len(engine.faults) == 94
            vehicle.wait_for(lambda: not vehicle.subscriptions(camera.topic), "the subscription to end")
            engine.faults.clear()
            assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
            camera.connect(image, masks)
            vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")


def test_an_engine_that_does_not_return_does_not_keep_the_process_from_ending(vehicle: Vehicle, image: Image) -> None:
    """As when TensorRT builds a plan for minutes."""
    arguments = ("60", "--ros-args", "-r", "__ns:=/busy", "-r", "/camera/image_raw:=/busy/image")
    camera = vehicle.camera("/busy/image")
    with NodeProcess(DOMAIN, *arguments, program=("-c", NODE_WITH_STAND_IN)) as process:
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
        for _ in range(10):
            camera.send(image)
            vehicle.spin_until(lambda: False, 0.05)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        assert not process.matching("Traceback|ERROR|FATAL"), process.output
    camera.close()


# The camera and its stamps


def test_a_camera_that_stops_and_comes_back_goes_on_by_itself(image: Image) -> None:
    with fake_engine_node() as (_, vehicle, masks):
        for _ in range(2):
            camera = vehicle.camera("/camera/image_raw")
            camera.connect(image, masks)
            camera.close()
            vehicle.wait_for_status(CAMERA, WARN, "^no image on /camera/image_raw for [0-9]+ s: nobody publishes it$")
        assert vehicle.state() == "active"


@pytest.mark.parametrize("arguments", ((), ("-p", "max_age:=10.0")), ids=("any age", "max_age"))
def test_a_stamp_that_no_clock_shows_is_no_harm(arguments: Tuple[str, ...], image: Image) -> None:
    with fake_engine_node(*arguments) as (_, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        vehicle.wait_for(lambda: len(vehicle.subscriptions(camera.topic)) == 1, "the subscription")
        extremes = [Time(sec=sec, nanosec=nanosec) for sec in (-(2**31), -1, 2**31 - 1) for nanosec in (0, 2**32 - 1)]
        stamps = [stamp for stamp in extremes if stamp.sec > 0 or not arguments]

        def answered(stamp: Time) -> bool:
            image.header.stamp = stamp
            camera.send_as_it_is(image)
            return bool(vehicle.spin_until(lambda: [mask for mask in masks if mask.header.stamp == stamp], 0.3))

        for stamp in extremes:
            image.header.stamp = stamp
            camera.send_as_it_is(image)
        for stamp in stamps:
            vehicle.wait_for(lambda stamp=stamp: answered(stamp), f"the mask of {stamp}")
        assert vehicle.counts()["skipped"] == 0


def test_with_simulated_time_a_bag_that_loops_goes_on(image: Image) -> None:
    """The clock stands still at 0 before the bag, and jumps back at its end."""
    with fake_engine_node("-p", "use_sim_time:=true", "-p", "max_age:=1.0") as (_, vehicle, masks):
        camera, clock = vehicle.camera("/camera/image_raw"), vehicle.node.create_publisher(Clock, "/clock", 10)
        camera.connect(image, masks)  # no /clock yet: nothing is stale at 0

        def send(*, now: float, stamp: float) -> Image:
            time_of = Time(sec=int(now), nanosec=int(now % 1 * 1e9))
            clock.publish(Clock(clock=time_of))
            vehicle.spin_until(lambda: False, 0.03)
            image.header.stamp = Time(sec=int(stamp), nanosec=int(stamp % 1 * 1e9))
            return camera.send_as_it_is(image)

        vehicle.wait_for(lambda: clock.get_subscription_count(), "the node's subscription to /clock")
        for _ in range(2):
            for now in np.arange(5000, 5001, 0.25):
                del masks[:]
                vehicle.answer(masks, send(now=now, stamp=now - 0.1))
        before = vehicle.counts()["dropped_stale"]
        stale = send(now=5002, stamp=5000)
        vehicle.wait_for(lambda: vehicle.counts()["dropped_stale"] == before + 1, f"{stale.header.stamp} to be stale")
        status = vehicle.statuses(CAMERA)[-1]
        assert 90 <= float(values_of(status)["receive_p50_ms"]) <= 200, "by the simulated clock"


# Those who listen


def test_a_subscriber_that_hangs_keeps_no_mask_and_no_time_from_another(vehicle: Vehicle) -> None:
    """At a size where a few masks fill the shared memory, and reliable on both sides."""
    frame = camera_image(np.zeros((1024, 2048, 3), np.uint8), "bgr8")
    arguments = ("--ros-args", "-r", "__ns:=/hang", "-r", "/camera/image_raw:=/hang/image", *QUICK_DIAGNOSTICS)
    masks, camera = vehicle.listen("/hang/mask", Image), vehicle.camera("/hang/image")

    def latencies(count: int) -> List[float]:
        seconds = []
        for _ in range(count):
            start = time.monotonic()
            vehicle.answer(masks, camera.send(frame))
            seconds.append(time.monotonic() - start)
            vehicle.spin_until(lambda: False, 0.03)
        return seconds

    with NodeProcess(DOMAIN, "0", *arguments, program=("-c", NODE_WITH_STAND_IN)) as node:
        camera.connect(frame, masks)
        with NodeProcess(DOMAIN, "/hang/mask", program=("-c", SUBSCRIBER)) as subscriber:
            vehicle.wait_for(lambda: camera.send(frame) and vehicle.spin_until(lambda: subscriber.lines, 0.2), "it")
            calm = latencies(10)
            subscriber.send(signal.SIGSTOP)
            try:
                hung = latencies(30)  # every one of them is answered
            finally:
                subscriber.send(signal.SIGCONT)
            # A publisher that waited for the one that hangs would take 100 ms more each time.
            assert np.median(hung) < np.median(calm) + 0.08, (calm, hung)
            seen = len(subscriber.lines)
            vehicle.answer(masks, camera.send(frame))
            vehicle.wait_for(lambda: len(subscriber.lines) > seen, "the one that hung to go on")
        counts = vehicle.counts("/hang/segmentation_node")
        assert counts["received"] == counts["published"] >= 42
        assert node.is_running() and not node.matching("Traceback|ERROR"), node.output
    camera.close()
