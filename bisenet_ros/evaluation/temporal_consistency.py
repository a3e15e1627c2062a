# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Temporal consistency: the share of pixels that keep their class from frame to frame while the picture only moves.

Dense optical flow (DIS; Kroeger et al., ECCV 2016) between two frames, both ways and on a reduced grid, says where each
pixel of the frame was in the frame before. A pixel is compared where the two flows agree (forward-backward check of
Sundaram et al., ECCV 2010), which leaves out what appears, disappears or leaves the picture. It has changed where the
mask before, moved by the flow, does not have its class within one grid cell; that much is the flow's own inaccuracy at
the edges of objects. Temporal consistency is 1 - changed / compared.
"""

from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from bisenet_ros.images.optical_flow import follow, optical_flow

LONGEST_SIDE = 240
"""Cells of the grid's longer side; a smaller frame is compared pixel by pixel."""
SMALLEST_SIDE = 16
"""Cells of a grid in which there is something to compare."""
LONGEST_GAP = 0.5
"""Seconds between two frames that are compared."""

METHOD = (
    "1 - the share of pixels whose class changed although the picture only moved, by "
    f"DIS optical flow on a grid of at most {LONGEST_SIDE} cells, forward-backward checked, between frames at most "
    f"{LONGEST_GAP} s apart; a cell has changed where the mask before, moved, does not have its class within one cell"
)
"""How temporal consistency is measured, human-readable, in reports."""

Change = List[List[int]]
"""(class, compared pixels, changed pixels) of the classes that the frame before had, in cells of the grid."""


class _Reduced(NamedTuple):
    """A frame on the grid."""

    size: Tuple[int, int]  # of the frame itself: height, width
    stamp_ns: int
    gray: np.ndarray  # h x w uint8
    mask: np.ndarray  # h x w uint8


class TemporalConsistency:
    """Compares each frame of one topic with the one before it."""

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._before: Optional[_Reduced] = None

    def compare(self, frame: np.ndarray, mask: np.ndarray, *, stamp_ns: int) -> Optional[Change]:
        """What changed since the frame before, which this one then becomes.

        None for a first frame, after a change of size, for stamps that go backwards or are more than `LONGEST_GAP`
        apart, and where no pixel can be found again, as at a cut.

        Args:
            frame: H x W x 3 uint8 BGR.
            mask: H x W uint8 ids below `classes`.
        """
        before, now = self._before, _reduce(frame, mask, stamp_ns)
        self._before = now
        if before is None or before.size != now.size or min(now.gray.shape) < SMALLEST_SIDE:
            return None
        if not 0 <= now.stamp_ns - before.stamp_ns <= LONGEST_GAP * 1e9:
            return None
        backward, forward = optical_flow(now.gray, before.gray), optical_flow(before.gray, now.gray)
        return count_changes(before.mask, now.mask, backward=backward, forward=forward, classes=self._classes)


def count_changes(
    before: np.ndarray, now: np.ndarray, *, backward: np.ndarray, forward: np.ndarray, classes: int
) -> Optional[Change]:
    """The classes of the compared pixels and of the changed ones, by the class that they had before.

    Args:
        before, now: h x w uint8 masks.
        backward: h x w x 2 float32, from each pixel of `now` to where it was in `before`; (x, y) in pixels.
        forward: h x w x 2 float32, from each pixel of `before` to where it is in `now`.

    Returns:
        See `Change`; None where no pixel can be compared.
    """
    height, width = now.shape
    back_x, back_y = cv2.split(backward)
    source_x, source_y, inside = follow(backward)
    there_x, there_y = cv2.split(cv2.remap(forward, source_x, source_y, cv2.INTER_LINEAR))
    error = (back_x + there_x) ** 2 + (back_y + there_y) ** 2
    lengths = back_x**2 + back_y**2 + there_x**2 + there_y**2
    compared = inside & (error < 0.01 * lengths + 0.5)  # equation 5 of Sundaram et al.
    if not compared.any():
        return None

    expected = cv2.remap(before, source_x, source_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    around = cv2.copyMakeBorder(expected, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    shifted = [around[down : down + height, right : right + width] for down in range(3) for right in range(3)]
    found = np.any(np.equal(shifted, now), axis=0)
    totals = np.bincount(expected[compared], minlength=classes)
    changes = np.bincount(expected[compared & ~found], minlength=classes)
    return [[int(place), int(totals[place]), int(changes[place])] for place in np.flatnonzero(totals)]


def _reduce(frame: np.ndarray, mask: np.ndarray, stamp_ns: int) -> _Reduced:
    height, width = frame.shape[:2]
    scale = min(1.0, LONGEST_SIDE / max(height, width))
    grid = max(1, round(width * scale)), max(1, round(height * scale))
    return _Reduced(
        size=(height, width),
        stamp_ns=stamp_ns,
        gray=cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), grid, interpolation=cv2.INTER_AREA),
        mask=cv2.resize(mask, grid, interpolation=cv2.INTER_NEAREST),
    )
