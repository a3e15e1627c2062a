# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""FrameQueue, between real threads."""

from __future__ import annotations

import threading
from typing import Any, Callable, List, Optional

import pytest

from bisenet_ros.node.frame_queue import FrameQueue

pytestmark = pytest.mark.timeout(60)
TIMEOUT = 20.0
"""Seconds."""


def make_queue(displaced: Optional[List[Any]] = None) -> FrameQueue[Any]:
    return FrameQueue((displaced if displaced is not None else []).append)


def start_thread(run: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


# Displacement


def test_the_newest_frame_is_taken_and_older_ones_are_reported_as_displaced() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    for number in (1, 2, 3):
        queue.put("front", number)
    assert queue.take() == [3] and displaced == [1, 2]
    queue.put("front", 4)
    assert queue.take() == [4] and displaced == [1, 2]


def test_a_camera_never_has_more_than_one_frame_waiting() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    for number in range(100):
        queue.put("front", number)
    assert queue.clear() == [99] and displaced == list(range(99))


def test_a_camera_does_not_displace_the_frame_of_another() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    queue.put("front", 1)
    queue.put("rear", 2)
    queue.put("front", 3)
    assert sorted(queue.take(most=5)) == [2, 3] and displaced == [1]


def test_displacing_does_not_change_whose_turn_it_is() -> None:
    queue = make_queue()
    queue.put("front", "front 1")
    queue.put("rear", "rear 1")
    queue.put("front", "front 2")
    assert queue.take() == ["front 2"] and queue.take() == ["rear 1"]


def test_a_frame_that_was_taken_is_not_displaced() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    queue.put("front", 1)
    assert queue.take() == [1]
    queue.put("front", 2)
    assert not displaced and queue.take() == [2]


# Fairness


def test_cameras_take_turns() -> None:
    queue = make_queue()
    turns = []
    for _ in range(6):  # "fast" always has a frame, and puts it first
        queue.put("fast", "fast")
        queue.put("slow", "slow")
        queue.put("slower", "slower")
        turns += queue.take()
    assert turns == ["fast", "slow", "slower"] * 2


def test_a_camera_that_joins_later_comes_first_once_and_then_takes_turns() -> None:
    queue = make_queue()
    for _ in range(5):
        queue.put("front", "front")
        queue.take()
    turns = []
    for _ in range(4):
        queue.put("front", "front")
        queue.put("rear", "rear")
        turns += queue.take()
    assert turns == ["rear", "front"] * 2


def test_take_returns_at_most_as_many_frames_as_asked_for() -> None:
    queue = make_queue()
    for number, camera in enumerate("abcd"):
        queue.put(camera, number)
    assert [queue.take(most=3), queue.take(most=3)] == [[0, 1, 2], [3]]


# Waiting, clear and close


def test_take_waits_until_a_frame_is_put() -> None:
    queue = make_queue()
    taken: List[str] = []
    taker = start_thread(lambda: taken.extend(queue.take()))
    taker.join(0.05)
    assert taker.is_alive() and not taken
    queue.put("front", "frame")
    taker.join(TIMEOUT)
    assert taken == ["frame"]


def test_clear_takes_all_frames_and_does_not_report_them_as_displaced() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    queue.put("front", 1)
    queue.put("rear", 2)
    assert sorted(queue.clear()) == [1, 2]
    assert queue.clear() == []
    queue.put("front", 3)
    assert queue.take() == [3] and not displaced


def test_close_ends_every_waiting_take() -> None:
    queue = make_queue()
    taken: List[List[str]] = []
    takers = [start_thread(lambda: taken.append(queue.take())) for _ in range(2)]
    queue.close()
    for taker in takers:
        taker.join(TIMEOUT)
    assert taken == [[], []]


def test_after_close_no_frame_is_taken() -> None:
    queue = make_queue()
    queue.put("front", "frame")
    queue.close()
    assert queue.take() == []


def test_between_a_fast_and_a_slow_thread_every_frame_is_taken_in_order_or_displaced() -> None:
    displaced: List[int] = []
    queue = make_queue(displaced)
    taken: List[int] = []
    count = 20_000
    got_last = threading.Event()

    def take_all() -> None:
        while frames := queue.take():
            taken.extend(frames)
            if frames[-1] == count:
                got_last.set()

    taker = start_thread(take_all)
    for number in range(1, count + 1):
        queue.put("front", number)
    assert got_last.wait(TIMEOUT)
    queue.close()
    taker.join(TIMEOUT)
    assert taken == sorted(set(taken))
    assert sorted(taken + displaced) == list(range(1, count + 1))
