"""FrameQueue between real threads."""

from __future__ import annotations

import threading
import time
from statistics import median
from typing import Any, List, Optional

import pytest

from bisenet_ros.node.frame_queue import GRACE, MOST, FrameQueue

pytestmark = pytest.mark.timeout(60)
PATIENCE = 20.0


def make(displaced: Optional[List[Any]] = None, *, grace: float = 0.0) -> FrameQueue[str, Any]:
    return FrameQueue((displaced if displaced is not None else []).append, grace=grace)


def test_take_returns_the_newest_and_the_others_are_told_as_displaced() -> None:
    displaced: List[int] = []
    newest = make(displaced)
    for number in (1, 2, 3):
        newest.put("front", number)
    assert newest.take() == [3] and displaced == [1, 2]
    newest.put("front", 4)
    assert newest.take() == [4] and displaced == [1, 2]


def test_a_camera_does_not_displace_anothers_frame() -> None:
    displaced: List[int] = []
    newest = make(displaced)
    newest.put("front", 1)
    newest.put("rear", 2)
    assert newest.take(most=5) == [1, 2] and not displaced


def test_frames_that_come_at_once_are_both_taken_but_not_when_the_engine_is_late() -> None:
    displaced: List[int] = []
    newest = make(displaced, grace=0.2)
    newest.put("front", 1)
    newest.put("front", 2)
    assert [newest.take(), newest.take()] == [[1], [2]] and not displaced
    newest.put("front", 3)
    newest.put("front", 4)
    time.sleep(0.25)
    assert newest.take() == [4] and displaced == [3]


def test_even_at_once_there_is_never_a_backlog() -> None:
    displaced: List[int] = []
    newest = make(displaced, grace=PATIENCE)
    for number in range(100):
        newest.put("front", number)
    assert newest.clear() == list(range(100 - MOST, 100)) and displaced == list(range(100 - MOST))


def test_no_camera_starves_another() -> None:
    newest = make()
    turns = []
    for _ in range(6):  # "fast" has a frame whenever somebody takes, and puts it first
        newest.put("fast", "fast")
        newest.put("slow", "slow")
        newest.put("slower", "slower")
        turns += newest.take()
    assert turns == ["fast", "slow", "slower"] * 2


def test_take_takes_no_more_than_it_is_asked_to() -> None:
    newest = make()
    for number, camera in enumerate("abcd"):
        newest.put(camera, number)
    assert [newest.take(most=3), newest.take(most=3)] == [[0, 1, 2], [3]]


def drive_slowly(*, period: float, grace: float, cameras: int) -> List[float]:
    """How long the frames of the first camera waited for one who is busy for 1.7 periods with each."""
    frames, newest = 80, make(grace=grace)

    def send() -> None:
        for number in range(frames):
            newest.put("front", (number, time.monotonic()))
            time.sleep(period)

    for other in range(1, cameras):
        newest.put(f"other {other}", (-1, time.monotonic()))
    sender = threading.Thread(target=send)
    sender.start()
    waited, number = [], -1
    while number < frames - 1:  # the camera has stopped then: its last one is not held back for another
        ((number, put),) = newest.take()
        if number >= 0:
            waited.append(time.monotonic() - put)
            time.sleep(1.7 * period)
    sender.join()
    return waited[len(waited) // 3 :]


@pytest.mark.parametrize("grace", [0.0, GRACE])
def test_who_is_slower_than_the_only_camera_gets_fresh_frames_and_the_last_one_too(grace: float) -> None:
    paced, unpaced = (drive_slowly(period=0.03, grace=grace, cameras=cameras) for cameras in (1, 2))
    assert median(paced) < median(unpaced) / 2


def test_clear_takes_all_that_waits() -> None:
    newest = make()
    newest.put("front", 1)
    newest.put("rear", 2)
    assert sorted(newest.clear()) == [1, 2]
    assert newest.clear() == []


def test_take_waits_until_something_is_put() -> None:
    newest = make()
    taken: List[str] = []
    taker = _start(lambda: taken.extend(newest.take()))
    taker.join(0.05)
    assert taker.is_alive() and not taken
    newest.put("front", "frame")
    taker.join(PATIENCE)
    assert taken == ["frame"]


def test_close_lets_go_whoever_waits() -> None:
    newest = make()
    taken: List[List[str]] = []
    takers = [_start(lambda: taken.append(newest.take())) for _ in range(2)]
    newest.close()
    for taker in takers:
        taker.join(PATIENCE)
    assert taken == [[], []]


def test_close_ends_it_although_a_frame_is_left() -> None:
    newest = make()
    newest.put("front", "frame")
    newest.close()
    assert newest.take() == []


def test_between_a_fast_and_a_slow_thread_frames_come_in_order_and_each_is_taken_or_displaced() -> None:
    displaced: List[int] = []
    newest = make(displaced)
    taken: List[int] = []
    count = 20_000
    got_last = threading.Event()

    def take_all() -> None:
        while frames := newest.take():
            taken.extend(frames)
            if frames[-1] == count:
                got_last.set()

    taker = _start(take_all)
    for number in range(1, count + 1):
        newest.put("front", number)
    assert got_last.wait(PATIENCE)
    newest.close()
    taker.join(PATIENCE)
    assert taken == sorted(set(taken))
    assert sorted(taken + displaced) == list(range(1, count + 1))


def _start(run) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
