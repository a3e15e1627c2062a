# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Copy-paste: pixels of the chosen classes, at their height, with their target; nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from bisenet_training.data.copy_paste import CopyPaste
from bisenet_training.data.loading import AugmentedFrames, Draw

CAR, PEDESTRIAN = 8, 9


def frame(gray: int, class_id: int, size=(30, 40)):
    return np.full((*size, 3), gray, np.uint8), np.full(size, class_id, np.uint8)


def frame_with_objects(size=(30, 40)):
    """A car of gray 200 at the bottom, a pedestrian of gray 150 above it, on a road of gray 100."""
    image, target = frame(100, 3, size)
    for rows, columns, gray, class_id in [((20, 26), (4, 14), 200, CAR), ((8, 18), (22, 25), 150, PEDESTRIAN)]:
        area = tuple(
            slice(*(end * side // base for end in ends))
            for ends, side, base in [(rows, size[0], 30), (columns, size[1], 40)]
        )
        image[area], target[area] = gray, class_id
    return image, target


def test_pixels_of_the_chosen_classes_move_with_their_target_at_their_height():
    paste, rng = CopyPaste([PEDESTRIAN]), np.random.default_rng(0)
    columns = set()
    for _ in range(200):
        image, target = paste(frame(20, 0), frame_with_objects(), rng)
        found = target == PEDESTRIAN
        assert (image[found] == 150).all() and (image[~found] == 20).all() and (target[~found] == 0).all()
        if found.any():
            rows, across = np.nonzero(found)
            assert (rows.min(), rows.max()) == (8, 17)
            columns.update(across.tolist())
    assert columns == set(range(40)), "anywhere from side to side"


def test_objects_are_mirrored_by_chance():
    image, target = frame(20, 0)
    wedge = frame_with_objects()
    for row in range(20, 26):  # a car that is longer at its bottom, on its left side
        wedge[1][row, 4 : 4 + 25 - row] = 3
    paste, rng = CopyPaste([CAR]), np.random.default_rng(0)
    slopes = set()
    for _ in range(50):
        found = paste((image, target), wedge, rng)[1] == CAR
        if found[20].sum() == 5 and found[25].sum() == 10:
            left = np.argmax(found, axis=1)
            slopes.add(bool(left[20] > left[25]))
    assert slopes == {True, False}


def test_a_frame_of_another_size_is_resized_to_it():
    image, target = CopyPaste([CAR])(frame(20, 0), frame_with_objects((60, 80)), np.random.default_rng(3))
    assert image.shape == (30, 40, 3) and target.shape == (30, 40)
    rows = np.nonzero((target == CAR).any(axis=1))[0]
    assert (rows.min(), rows.max()) == (20, 25)


def test_the_frames_themselves_stay_as_they_are():
    kept, other = frame(20, 0), frame_with_objects()
    for array in (*kept, *other):
        array.flags.writeable = False
    image, _ = CopyPaste([CAR, PEDESTRIAN])(kept, other, np.random.default_rng(1))
    assert (image != 20).any() and (kept[0] == 20).all()


@pytest.mark.parametrize("pasted, least, most", [([CAR], 55, 95), ([], 0, 0)])
def test_every_second_frame_of_a_run_gets_objects_and_the_draws_follow_the_position(pasted, least, most):
    frames = [[frame(20, 0), *[frame_with_objects()] * 9]]

    def drawn():
        copy_paste = CopyPaste(pasted) if pasted else None
        training = AugmentedFrames(frames, lambda image, target, rng: (image, target), copy_paste=copy_paste, seed=4)
        return [training[Draw(position, 0, 0)][1].numpy() for position in range(200)]

    targets = drawn()
    assert all(np.array_equal(one, other) for one, other in zip(targets, drawn()))
    # Half of the frames are pasted into, nine in ten of those get a car, of which one in six is shifted away.
    assert least <= sum((target == CAR).any() for target in targets) <= most
