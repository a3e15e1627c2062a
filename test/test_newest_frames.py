"""NewestFrame between real threads."""

from __future__ import annotations

import threading
from typing import List, Optional

import pytest

from bisenet_ros.node.newest_frame import NewestFrame

pytestmark = pytest.mark.timeout(60)
PATIENCE = 20.0


def test_take_returns_the_newest_and_put_says_what_it_displaced() -> None:
    newest: NewestFrame[int] = NewestFrame()
    assert [newest.put(1), newest.put(2), newest.put(3)] == [False, True, True]
    assert newest.take() == 3
    assert newest.put(4) is False
    assert newest.take() == 4


def test_take_waits_until_something_is_put() -> None:
    newest: NewestFrame[str] = NewestFrame()
    taken: List[Optional[str]] = []
    taker = _start(lambda: taken.append(newest.take()))
    taker.join(0.05)
    assert taker.is_alive() and not taken
    newest.put("frame")
    taker.join(PATIENCE)
    assert taken == ["frame"]


def test_close_lets_go_whoever_waits() -> None:
    newest: NewestFrame[str] = NewestFrame()
    taken: List[Optional[str]] = []
    takers = [_start(lambda: taken.append(newest.take())) for _ in range(2)]
    newest.close()
    for taker in takers:
        taker.join(PATIENCE)
    assert taken == [None, None]


def test_close_ends_it_although_a_frame_is_left() -> None:
    newest: NewestFrame[str] = NewestFrame()
    newest.put("frame")
    newest.close()
    assert newest.take() is None


def test_between_a_fast_and_a_slow_thread_frames_come_in_order_and_each_is_taken_or_displaced() -> None:
    newest: NewestFrame[int] = NewestFrame()
    taken: List[int] = []
    count = 20_000
    got_last = threading.Event()

    def take_all() -> None:
        while (number := newest.take()) is not None:
            taken.append(number)
            if number == count - 1:
                got_last.set()

    taker = _start(take_all)
    displaced = sum(newest.put(number) for number in range(count))
    assert got_last.wait(PATIENCE)
    newest.close()
    taker.join(PATIENCE)
    assert taken == sorted(set(taken))
    assert len(taken) + displaced == count


def _start(run) -> threading.Thread:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
