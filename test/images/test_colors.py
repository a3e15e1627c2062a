# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Labels in colors, alone and over the camera's picture."""

from __future__ import annotations

import numpy as np
import pytest
from camvid_classes import CAMVID

from bisenet_ros.images.colors import blend, paint

TABLE = CAMVID.color_table()
LABELS = np.array([[0, 3, 10], [11, 254, 255]], np.uint8)
FRAME = np.random.default_rng(1).integers(0, 256, (2, 3, 3), np.uint8)


def test_labels_are_painted_in_their_colors_and_black_where_there_is_no_class() -> None:
    colors = [list(CAMVID.classes[i].color) for i in (0, 3, 10)]
    assert paint(LABELS, TABLE).tolist() == [colors, [[0, 0, 0]] * 3]


def test_a_part_of_a_mask_is_painted_as_well() -> None:
    wide = np.tile(LABELS, 4)
    np.testing.assert_array_equal(paint(wide[:, :3], TABLE), paint(LABELS, TABLE))


@pytest.mark.parametrize("opacity", (0.0, 0.25, 0.5, 1.0))
def test_an_overlay_mixes_the_picture_and_the_colors(opacity: float) -> None:
    overlay = blend(FRAME, LABELS, TABLE, opacity=opacity)
    assert overlay.dtype == np.uint8
    expected = (1 - opacity) * FRAME[0] + opacity * TABLE[LABELS[0]][:, ::-1]
    np.testing.assert_allclose(overlay[0], expected, atol=0.51)


@pytest.mark.parametrize("opacity", (0.5, 1.0))
def test_the_picture_stays_where_there_is_no_class(opacity: float) -> None:
    np.testing.assert_array_equal(blend(FRAME, LABELS, TABLE, opacity=opacity)[1], FRAME[1])


def test_neither_the_frame_nor_the_colors_are_changed() -> None:
    frame, table = FRAME.copy(), TABLE.copy()
    frame.flags.writeable = False
    blend(frame, LABELS, table, opacity=0.5)
    np.testing.assert_array_equal(frame, FRAME)
    np.testing.assert_array_equal(table, TABLE)


def test_results_go_into_memory_that_is_given() -> None:
    colors, overlay = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)
    assert (
        paint(LABELS, TABLE, out=colors) is colors and blend(FRAME, LABELS, TABLE, opacity=0.5, out=overlay) is overlay
    )
    np.testing.assert_array_equal(colors, paint(LABELS, TABLE))
    np.testing.assert_array_equal(overlay, blend(FRAME, LABELS, TABLE, opacity=0.5))
