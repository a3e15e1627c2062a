# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What changes in a mask beyond what moves, on scenes whose motion is known."""

from __future__ import annotations

from typing import List, Optional, Tuple

import cv2
import numpy as np
import pytest

from bisenet_ros.evaluation.temporal_consistency import Change, TemporalConsistency, count_changes

CLASSES = 4
SECOND = 10**9


def world(*, height: int = 200, width: int = 320) -> Tuple[np.ndarray, np.ndarray]:
    """A textured picture and its labels: three stripes of classes 0 to 2."""
    random = np.random.default_rng(3)
    noise = random.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    frame = cv2.GaussianBlur(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
    labels = np.repeat(np.arange(height, dtype=np.uint8)[:, None] * 3 // height, width, axis=1)
    labels[60:140, 100:180] = 2
    return frame, labels


def window(pictures: Tuple[np.ndarray, np.ndarray], shift: int) -> Tuple[np.ndarray, np.ndarray]:
    """What a camera sees that has moved by `shift` pixels."""
    return tuple(picture[20:180, 40 + shift : 240 + shift] for picture in pictures)  # type: ignore[return-value]


def share(change: Optional[Change]) -> float:
    assert change is not None
    return sum(changed for _, _, changed in change) / sum(compared for _, compared, _ in change)


def watch(seen: List[Tuple[np.ndarray, np.ndarray]]) -> List[Optional[Change]]:
    consistency = TemporalConsistency(CLASSES)
    return [consistency.compare(*picture, stamp_ns=i * SECOND // 15) for i, picture in enumerate(seen)]


@pytest.mark.parametrize("speed", [0, 2, 5])
def test_labels_that_move_with_the_picture_have_not_changed(speed):
    first, *rest = watch([window(world(), speed * i) for i in range(4)])
    assert first is None
    assert max(map(share, rest)) < 0.002


def test_without_the_flow_the_same_motion_would_look_like_change():
    (_, before), (_, now) = window(world(), 0), window(world(), 5)
    still = np.zeros((*now.shape, 2), np.float32)
    assert share(count_changes(before, now, backward=still, forward=still, classes=CLASSES)) > 0.015


def constant_flow(right: float) -> np.ndarray:
    return np.stack([np.full((40, 60), right, np.float32), np.zeros((40, 60), np.float32)], axis=-1)


@pytest.mark.parametrize("motion, columns", [(10.0, 50), (0.6, 59)])
def test_what_comes_into_the_picture_is_not_compared(motion, columns):
    mask = np.zeros((40, 60), np.uint8)
    change = count_changes(mask, mask, backward=constant_flow(motion), forward=constant_flow(-motion), classes=CLASSES)
    assert change == [[0, 40 * columns, 0]]


@pytest.mark.parametrize("back, there, agree", [(20, -18, True), (20, -16, False), (0.3, 0.3, True), (1, 0, False)])
def test_the_flows_may_differ_by_more_where_the_motion_is_larger(back, there, agree):
    """Two pixels of difference agree for a motion of 20 pixels; one does not for a motion of one."""
    mask = np.zeros((40, 60), np.uint8)
    change = count_changes(mask, mask, backward=constant_flow(back), forward=constant_flow(there), classes=CLASSES)
    assert (change is not None) == agree


@pytest.mark.parametrize("side", [20, 40, 80])
def test_flicker_is_found_in_proportion_to_its_amount(side):
    (frame, labels), (next_frame, next_labels) = window(world(), 0), window(world(), 3)
    flickered = next_labels.copy()
    flickered[30 : 30 + side, 60 : 60 + side] = 3
    change = watch([(frame, labels), (next_frame, flickered)])[1]
    assert share(change) == pytest.approx(side**2 / labels.size, rel=0.15)


def test_a_change_is_counted_under_the_class_that_was_there():
    frame, labels = window(world(), 0)
    changed = labels.copy()
    changed[labels == 1] = 3
    counts = {label: (compared, lost) for label, compared, lost in watch([(frame, labels), (frame, changed)])[1] or []}
    assert set(counts) == {0, 1, 2}
    assert counts[1][1] > 0.9 * counts[1][0] > 0
    assert counts[0][1] == counts[2][1] == 0


def test_a_large_frame_is_compared_on_a_smaller_grid():
    frame, labels = (cv2.resize(picture, (1280, 720), interpolation=cv2.INTER_NEAREST) for picture in world())
    compared = sum(count for _, count, _ in watch([(frame, labels), (frame, labels)])[1] or [])
    assert compared == 240 * 135


def test_frames_that_are_no_neighbors_are_not_compared():
    frame, labels = window(world(), 0)
    consistency = TemporalConsistency(CLASSES)
    assert consistency.compare(frame, labels, stamp_ns=10 * SECOND) is None
    assert consistency.compare(frame, labels, stamp_ns=10 * SECOND + SECOND // 2) is not None
    assert consistency.compare(frame, labels, stamp_ns=11 * SECOND + 1) is None  # more than half a second later
    assert consistency.compare(frame, labels, stamp_ns=9 * SECOND) is None  # backwards
    assert consistency.compare(frame[:100], labels[:100], stamp_ns=9 * SECOND) is None  # another size
    assert consistency.compare(frame[:100], labels[:100], stamp_ns=9 * SECOND + 1) is not None


def test_a_cut_to_another_scene_is_no_flicker():
    frame, labels = window(world(), 0)
    other = np.random.default_rng(8).integers(0, 256, frame.shape, dtype=np.uint8)
    same = sum(count for _, count, _ in watch([(frame, labels), (frame, labels)])[1] or [])
    cut = sum(count for _, count, _ in watch([(frame, labels), (other, labels)])[1] or [])
    assert cut < 0.2 * same


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (16, 16), (33, 200), (2000, 3)])
def test_frames_of_any_shape_pass(size):
    frame, labels = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    change = watch([(frame, labels), (frame, labels)])[1]
    assert (change is None) == (min(size) < 16 or size == (2000, 3))


def test_the_number_of_threads_changes_nothing():
    seen = [window(world(), 3 * i) for i in range(3)]
    threads = cv2.getNumThreads()
    try:
        found = []
        for count in (1, 2, 4):
            cv2.setNumThreads(count)
            found.append(watch(seen))
    finally:
        cv2.setNumThreads(threads)
    assert found[0] == found[1] == found[2]
