# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Faults of the engine, cameras, clocks and subscribers, and how the node recovers."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Sequence, Tuple

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from node_harness import (
    CAMERA,
    DOMAIN,
    NODE,
    QUICK_DIAGNOSTICS,
    FakeEngine,
    NodeProcess,
    Vehicle,
    camera_image,
    to_array,
    values_of,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.engines.engine import EngineError, Segmentation
from bisenet_ros.node.camera_confidence import CameraConfidence

pytestmark = pytest.mark.timeout(120)

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
NODE_WITH_FAKE_ENGINE = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from node_harness import FakeEngine
from bisenet_ros.node.run_node import run_node
engine = FakeEngine()
engine.seconds = float(sys.argv.pop(1))
sys.exit(run_node(load=lambda *_, **__: engine))
"""
WRONG_CALLBACK = """
from bisenet_ros.node.segmentation_node import SegmentationNode
def update(node):
    if engine.batches:
        raise RuntimeError("a mistake")
    for camera in node._cameras:
        camera.update_subscription()
SegmentationNode._update_cameras = update
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


@contextmanager
def node_and_masks(*arguments: str) -> Iterator[Tuple[FakeEngine, Vehicle, List[Image]]]:
    with fake_node(*arguments) as (_, vehicle, engine):
        yield engine, vehicle, vehicle.listen("/segmentation/mask", Image)


# The engine


def test_engine_that_fails_once_is_tried_again(image: Image) -> None:
    with node_and_masks() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        before = vehicle.counts()
        for fault in (RuntimeError("a transient error"), MemoryError()):
            engine.faults.append(fault)
            mask = vehicle.answer(masks, camera.send(image))
            np.testing.assert_array_equal(to_array(mask)[:, :, 0], to_array(image)[:, :, 0])
        after = vehicle.counts()
        assert (after["published"] - before["published"], after["failed"]) == (2, 0)
        assert values_of(vehicle.statuses(f"{NODE}: segmentation")[-1])["engine_faults"] == "0"


def test_engine_that_fails_on_some_images_is_kept(image: Image) -> None:
    """It is given up after three failures in a row; a mask between them ends the row."""
    with node_and_masks() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for turn in (1, 2):
            engine.faults += [RuntimeError("an unusual image")] * 4  # two images, each tried twice
            for number in (1, 2):
                camera.send(image)
                failed = 2 * turn - 2 + number
                vehicle.wait_for(lambda failed=failed: vehicle.counts()["failed"] == failed, f"{failed} failures")
            vehicle.answer(masks, camera.send(image))
        assert vehicle.state() == "active"


@pytest.mark.parametrize("kind", (RuntimeError, MemoryError))
def test_engine_that_keeps_failing_deactivates_the_node_until_it_is_enabled(kind: type, image: Image) -> None:
    with node_and_masks() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for turn in (1, 2):
            engine.faults += [kind("the GPU has fallen off the bus")] * 100

            def sending() -> bool:
                camera.send(image)
                return vehicle.state() == "inactive"

            vehicle.wait_for(sending, "the engine to be given up")
            words = f"^engine fault: {kind.__name__}: the GPU has fallen off the bus; .*/enable .* activates it again"
            status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, words)
            assert values_of(status)["engine_faults"] == str(turn) and values_of(status)["state"] == "inactive"
            assert vehicle.counts()["failed"] == 3 * turn, "three frames, each tried twice"
            assert len(engine.faults) == 94
            vehicle.wait_for(lambda: not vehicle.subscriptions(camera.topic), "the subscription to end")
            engine.faults.clear()
            assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
            camera.connect(image, masks)
            vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")


def test_a_fault_is_over_once_the_engine_is_cleaned_up(image: Image) -> None:
    with node_and_masks() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        engine.faults += [RuntimeError("the GPU has fallen off the bus")] * 100

        def sending() -> bool:
            camera.send(image)
            return vehicle.state() == "inactive"

        vehicle.wait_for(sending, "the engine to be given up")
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "^engine fault: ")
        for transition, state in (("cleanup", "unconfigured"), ("configure", "inactive")):
            assert vehicle.transition(transition)
            status = vehicle.wait_for_status(f"{NODE}: segmentation", OK, f"^{state}$")
            assert values_of(status)["engine_faults"] == "1"


def test_a_fault_while_the_engine_is_cleaned_up_is_over_with_it(image: Image) -> None:
    """The third failure in a row, of a frame that the engine still works on."""
    with node_and_masks() as (engine, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        engine.faults += [RuntimeError("the GPU has fallen off the bus")] * 100
        for number in (1, 2):
            camera.send(image)
            vehicle.wait_for(lambda number=number: vehicle.counts()["failed"] == number, f"{number} failures")
        engine.gate.clear()
        taken = len(engine.batches)
        camera.send(image)
        vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take it")
        assert vehicle.transition("deactivate")
        done = vehicle.transition_later("cleanup")
        vehicle.spin_until(lambda: False, 0.5)
        engine.gate.set()
        vehicle.wait_for(done.done, "the cleanup")
        status = vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^unconfigured$")
        assert values_of(status)["engine_faults"] == "1"


def test_engine_without_confidence_costs_that_topic_alone(image: Image) -> None:
    with node_and_masks() as (engine, vehicle, masks):
        engine.has_confidence = False
        confidences = vehicle.listen("/segmentation/confidence", Image)
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for _ in range(4):
            vehicle.answer(masks, camera.send(image))
        assert vehicle.state() == "active" and not confidences


def test_an_engine_that_finds_that_it_has_no_confidence_gives_masks(image: Image) -> None:
    class WithoutLogits(FakeEngine):
        """As where TensorRT cannot build the plan to the logits, which is found with the first frame."""

        def _segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool) -> List[Segmentation]:
            if confidence:
                self.has_confidence = False
                raise EngineError("no memory; from now on there are masks without confidence")
            return super()._segment_batch(frames, confidence=confidence)

    with fake_node("-p", "min_confidence:=0.5", engine=WithoutLogits()) as (_, vehicle, engine):
        masks = vehicle.listen("/segmentation/mask", Image)
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)
        for _ in range(4):
            vehicle.answer(masks, camera.send(image))
        assert vehicle.state() == "active" and not engine.has_confidence
        assert vehicle.counts()["failed"] == 0


def test_blocked_engine_does_not_block_the_shutdown(vehicle: Vehicle, image: Image) -> None:
    """As while TensorRT builds a plan, which takes minutes."""
    arguments = ("60", "--ros-args", "-r", "__ns:=/busy", "-r", "/camera/image_raw:=/busy/image")
    camera = vehicle.camera("/busy/image")
    with NodeProcess(DOMAIN, *arguments, program=("-c", NODE_WITH_FAKE_ENGINE)) as process:
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
        for _ in range(10):
            camera.send(image)
            vehicle.spin_until(lambda: False, 0.05)
        process.send(signal.SIGINT)
        assert process.wait() == 0
        assert not process.matching("Traceback|ERROR|FATAL"), process.output
    camera.close()


def test_an_error_while_the_node_shuts_down_is_told_though_the_engine_is_at_work(
    vehicle: Vehicle, image: Image
) -> None:
    arguments = ("60", "--ros-args", "-r", "__ns:=/wrong", "-r", "/camera/image_raw:=/wrong/image")
    program = NODE_WITH_FAKE_ENGINE.replace("sys.exit(", WRONG_CALLBACK + "sys.exit(")
    camera = vehicle.camera("/wrong/image")
    with NodeProcess(DOMAIN, *arguments, program=("-c", program)) as process:
        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
        vehicle.wait_for(lambda: camera.send(image) and not process.is_running(), "the process to end")
        assert process.wait() == 1
        assert process.matching("RuntimeError: a mistake"), process.output
    camera.close()


# Masks


def test_an_image_whose_mask_cannot_be_published_has_failed(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    with node_and_masks() as (_, vehicle, masks):
        camera = vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)

        def no_memory(*_: Any) -> None:
            raise MemoryError

        with monkeypatch.context() as patch:
            patch.setattr(CameraConfidence, "hide_unknown", no_memory)
            camera.send(image)
            vehicle.wait_for(lambda: vehicle.counts()["failed"] == 1, "the image to have failed")
        vehicle.answer(masks, camera.send(image))
        assert vehicle.state() == "active"


# Cameras and stamps


def test_camera_may_stop_and_return(image: Image) -> None:
    with node_and_masks() as (_, vehicle, masks):
        for _ in range(2):
            camera = vehicle.camera("/camera/image_raw")
            camera.connect(image, masks)
            camera.close()
            vehicle.wait_for_status(CAMERA, WARN, "^no image on /camera/image_raw: nobody publishes it$")
        assert vehicle.state() == "active"


@pytest.mark.parametrize("arguments", ((), ("-p", "max_age:=10.0")), ids=("any age", "max_age"))
def test_extreme_stamps(arguments: Tuple[str, ...], image: Image) -> None:
    with node_and_masks(*arguments) as (_, vehicle, masks):
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


def test_looping_bag_with_simulated_time(image: Image) -> None:
    """The clock is 0 before the bag begins, and jumps back at its end."""
    with node_and_masks("-p", "use_sim_time:=true", "-p", "max_age:=1.0") as (_, vehicle, masks):
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


# Subscribers


def test_hanging_subscriber_does_not_delay_another(vehicle: Vehicle) -> None:
    """With masks of which a few fill the shared memory, and reliable QoS on both sides."""
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

    with NodeProcess(DOMAIN, "0", *arguments, program=("-c", NODE_WITH_FAKE_ENGINE)) as node:
        camera.connect(frame, masks)
        with NodeProcess(DOMAIN, "/hang/mask", program=("-c", SUBSCRIBER)) as subscriber:
            vehicle.wait_for(lambda: camera.send(frame) and vehicle.spin_until(lambda: subscriber.lines, 0.2), "it")
            before = latencies(10)
            subscriber.send(signal.SIGSTOP)
            try:
                hung = latencies(30)  # each is answered
            finally:
                subscriber.send(signal.SIGCONT)
            # A publisher that waits for the hanging subscriber takes 100 ms more for each mask.
            assert np.median(hung) < np.median(before) + 0.08, (before, hung)
            seen = len(subscriber.lines)
            vehicle.answer(masks, camera.send(frame))
            vehicle.wait_for(lambda: len(subscriber.lines) > seen, "the stopped subscriber to continue")
        counts = vehicle.counts("/hang/segmentation_node")
        assert counts["received"] == counts["published"] >= 42
        assert node.is_running() and not node.matching("Traceback|ERROR"), node.output
    camera.close()
