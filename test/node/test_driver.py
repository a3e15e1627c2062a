# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The driver of a node: what it counts, and that all it starts comes to an end. Over Fast DDS."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Iterator, List

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_harness import NODE, Vehicle
from ros_domains import new_domain
from std_msgs.msg import Header

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.benchmark.measurement import NODE_PROGRAMS
from bisenet_ros.node.driver import camera_player, ros_domain
from bisenet_ros.node.driver.camera_player import CameraPlayer, TimedImage, images_at_rate
from bisenet_ros.node.driver.diagnostics_listener import DiagnosticsListener
from bisenet_ros.node.driver.interval import LOSSES, Interval, SentFrame
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.driver.ros_client import DriverError
from bisenet_ros.node.driver.ros_domain import free_domain
from bisenet_ros.node.driver.topics import Topics
from bisenet_ros.node.frame_statistics import OUTCOMES, count_waiting
from bisenet_ros.node.image_messages import make_image

SECOND = 10**9


def gray_images(count: int, rate: float = 20.0) -> Iterator[TimedImage]:
    """Frame i is gray of value i."""
    for i in range(count):
        yield TimedImage(i / rate, make_image(np.full((48, 64, 3), i, np.uint8), "bgr8", Header()))


def broken_images() -> Iterator[TimedImage]:
    yield from gray_images(2)
    raise BisenetError("the third image cannot be read")


def endless_images() -> Iterator[TimedImage]:
    return images_at_rate([image.message for image in gray_images(1)], rate=50, seconds=1e6)


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended may be a zombie until its new parent has asked for its code."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# Over DDS


def test_every_frame_of_several_cameras_is_answered_and_counted(shipped_model: Path) -> None:
    topics = Topics(cameras=("front", "rear"), outputs=("mask", "overlay"))
    arguments = topics.node_arguments(model=str(shipped_model), diagnostics_rate=10.0)
    answers: List[int] = []
    with NodeDriver(arguments, topics=topics, program=NODE_PROGRAMS["stub"]) as driver:
        driver.warm_up(partial(gray_images, 3))
        for count in (6, 4):  # a second interval does not count the first one's frames
            start = time.monotonic()
            found = driver.play(
                partial(gray_images, count), on_answer=lambda frame, message: answers.append(frame.number)
            )
            assert len(found.sent) == len(found.answers) == 2 * count and found.losses == {} and found.lost == 0
            assert found.counts is not None and found.counts["received"] == found.counts["published"] == 2 * count
            assert len(found.arrived["overlay"]) == 2 * count and found.is_complete
            assert 0 < min(found.latencies())
            assert time.monotonic() - start >= (count - 1) / 20
        assert driver.diagnostics.engine == "stub of zero cost"
        assert driver.diagnostics.milliseconds()["engine_p50_ms"] >= 0
        pids = [driver.node.pid, driver.cameras.pid]
        assert driver.node.interrupt() == 0
    assert answers == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0, 1, 1, 2, 2, 3, 3]
    assert not any(map(runs, pids))


def test_frames_above_a_limit_are_counted_where_the_node_drops_them(shipped_model: Path) -> None:
    arguments = Topics().node_arguments(model=str(shipped_model), diagnostics_rate=10.0, publish_rate=5.0)
    with NodeDriver(arguments, program=NODE_PROGRAMS["stub"]) as driver:
        driver.warm_up(partial(gray_images, 3))
        found = driver.play(partial(gray_images, 20))
    assert len(found.sent) == 20 and 3 <= len(found.answers) <= 8
    assert found.losses == {"dropped_rate": found.lost}


def test_a_node_that_cannot_run_is_quoted() -> None:
    """Whatever the model's name is: ROS reads parameters as YAML."""
    model = "my: model #1 \U0001f697.onnx"
    told = f"the node cannot run: could not configure: expected a model file at {Path(model).absolute()}"
    with NodeDriver(Topics().node_arguments(model=model)) as driver:
        with pytest.raises(DriverError, match=re.escape(told)):
            driver.warm_up(partial(gray_images, 1))


def test_a_node_that_ends_is_quoted() -> None:
    with NodeDriver(program=("-c", "raise SystemExit('no such robot')")) as driver:
        with pytest.raises(DriverError, match="the node ended with code 1; it printed:\nno such robot"):
            driver.warm_up(partial(gray_images, 1))


# The cameras' process


def wait_for(cameras: CameraPlayer, sent: List[Any], count: int) -> None:
    deadline = time.monotonic() + 30
    while len(sent) < count and time.monotonic() < deadline:
        sent += cameras.sent()
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_a_node_ends_when_its_parent_is_killed() -> None:
    program = """
import time
from bisenet_ros.node.driver.node_process import NodeProcess
print(NodeProcess(domain=0, program=("-c", "import time; time.sleep(1000)")).pid, flush=True)
time.sleep(1000)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_an_error_of_the_images_source_is_raised_on_this_side_and_the_cameras_go_on() -> None:
    cameras, sent = CameraPlayer(Topics(), domain=new_domain()), []
    try:
        cameras.play(broken_images)
        with pytest.raises(BisenetError, match="the third image cannot be read"):
            wait_for(cameras, sent, 3)
        cameras.play(partial(gray_images, 2))
        wait_for(cameras, sent, 4)
        assert [frame.number for _, frame in sent] == [0, 1, 0, 1]
        stamps = [stamp for (_, stamp), _ in sent]
        assert sorted(set(stamps)) == stamps
    finally:
        cameras.close()


def test_cameras_that_are_playing_end_when_they_are_closed() -> None:
    cameras, sent = CameraPlayer(Topics(), domain=new_domain()), []
    cameras.play(endless_images)
    wait_for(cameras, sent, 5)
    pid, start = cameras.pid, time.monotonic()
    cameras.close()
    assert time.monotonic() - start < 5 and not runs(pid)


def test_a_camera_that_is_late_leaves_images_out(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(camera_player, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    found = []
    for image in images_at_rate(["a", "b"], rate=100, seconds=0.5):
        found.append((round(image.due, 3), image.message))
        clock[0] += 0.1 if len(found) == 3 else 0.01
    assert found[:5] == [(0.0, "a"), (0.01, "b"), (0.02, "a"), (0.12, "b"), (0.13, "a")] and len(found) == 41


# Counts


def counts(received: int, **outcomes: int) -> Counter:
    return Counter({**dict.fromkeys(OUTCOMES, 0), "received": received, **outcomes})


def test_no_two_drivers_have_a_domain_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ros_domain, "FREE_DOMAINS", range(202, 205))  # none that a test beside this one needs
    monkeypatch.setattr(ros_domain, "_has_participant", lambda domain: domain == 204)
    with ExitStack() as stack:
        assert {stack.enter_context(free_domain()) for _ in range(2)} == {202, 203}
        with pytest.raises(DriverError, match="ROS domains 202 to 204 are all in use"):
            stack.enter_context(free_domain())
    with free_domain() as domain:
        assert domain in (202, 203)


def test_every_outcome_has_words() -> None:
    assert set(OUTCOMES) - set(LOSSES) == {"published"}
    interval = Interval(
        ("mask",), counts=counts(2, dropped_newer=2), sent={("camera", i): SentFrame(i, i) for i in (0, 1)}
    )
    assert interval.losses_in_words == {"dropped in the node for a newer frame": 2}


def test_every_lost_frame_has_a_place() -> None:
    sent = {("camera", i): SentFrame(i, i) for i in range(40)}
    interval = Interval(("mask",), sent=sent, counts=counts(36, published=33, dropped_newer=2, skipped=1))
    for i in range(30):
        interval.note_arrival(("camera", i), "mask", time=50)
    assert interval.losses == {"to_the_node": 4, "dropped_newer": 2, "skipped": 1, "from_the_node": 3}
    assert sum(interval.losses.values()) == interval.lost == 40 - 30


def test_a_node_is_at_rest_when_every_frame_received_has_its_outcome() -> None:
    assert count_waiting(counts(3, published=2, failed=1)) == 0
    assert count_waiting(counts(4, published=2, failed=1)) == 1


def test_an_output_that_comes_twice_is_counted_once_and_of_another_interval_not_at_all() -> None:
    interval = Interval(("mask",), sent={("camera", i): SentFrame(i, i * SECOND) for i in range(4)})
    assert interval.note_arrival(("camera", 1), "mask", time=SECOND + SECOND // 2) == SentFrame(1, SECOND)
    assert interval.note_arrival(("camera", 1), "mask", time=2 * SECOND) is None
    assert interval.note_arrival(("camera", 77), "mask", time=2 * SECOND) is None
    assert (len(interval.answers), interval.lost, interval.repeated) == (1, 3, 1)
    assert interval.latencies() == [500.0] and interval.latencies(skip=1.5) == []
    assert interval.losses == {"unanswered": 3}


def test_rest_is_what_two_messages_after_those_queued_say_alike() -> None:
    """The first one may have been made before, with counts of then; and frames may still be on the way."""

    def status(received: int, published: int) -> DiagnosticArray:
        values = {**dict.fromkeys(OUTCOMES, 0), "received": received, "published": published}
        entries = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return DiagnosticArray(status=[DiagnosticStatus(name=f"{NODE}: camera camera", values=entries)])

    vehicle = Vehicle(new_domain())
    try:
        publisher = vehicle.node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        diagnostics = DiagnosticsListener(vehicle)
        vehicle.wait_for(lambda: publisher.get_subscription_count() == 2, "the subscriptions")
        for _ in range(3):
            publisher.publish(status(3, 3))
        time.sleep(0.5)  # until all are queued here
        diagnostics.forget()
        sent = []
        for received, published in ((5, 5), (6, 6), (7, 6), (7, 7), (7, 7)):
            assert diagnostics.counts_at_rest() is None
            sent.append(status(received, published))
            publisher.publish(sent[-1])
            vehicle.wait_for(lambda: len(diagnostics.messages) == len(sent), "the message")
        assert diagnostics.counts_at_rest() == counts(7, published=7)
    finally:
        vehicle.close()
