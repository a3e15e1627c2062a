# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A mask seen from above: which pixel shows which cell of a grid on flat ground."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.geometry.camera_model import CameraModel

NOT_SEEN = -1
MOST_CELLS = 4_000_000
"""A larger grid is a mistake, such as a resolution in centimeters."""
FREE, OCCUPIED, UNKNOWN = 0, 100, -1
"""The values of a nav_msgs/OccupancyGrid."""


class GroundGridError(BisenetError):
    """A grid or a pose that cannot be used."""


@dataclass(frozen=True)
class Pose:
    """Where the optical frame (x right, y down, z forward) is in the grid's frame.

    Attributes:
        position: x, y, z in meters.
        rotation: 3 x 3; from the optical frame to the grid's.
    """

    position: np.ndarray
    rotation: np.ndarray

    @classmethod
    def from_angles(cls, values: Sequence[float]) -> "Pose":
        """The pose with these x, y, z in meters and roll, pitch, yaw in radians, as in URDF (fixed axes).

        A camera that looks along the grid's x axis has roll -pi/2, pitch 0, yaw -pi/2.
        """
        if len(values) != 6 or not np.isfinite(values).all():
            raise GroundGridError(f"expected a pose as [x, y, z, roll, pitch, yaw], got {list(values)}")
        (sr, cr), (sp, cp), (sy, cy) = ((np.sin(angle), np.cos(angle)) for angle in values[3:])
        rotation = np.array(
            [
                [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
                [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
                [-sp, cp * sr, cp * cr],
            ]
        )
        return cls(np.array(values[:3], np.float64), rotation)

    @classmethod
    def from_quaternion(cls, position: Sequence[float], quaternion: Sequence[float]) -> "Pose":
        """The pose of a transform; the quaternion is x, y, z, w. Raises GroundGridError for one of no rotation."""
        if not (np.isfinite([*position, *quaternion]).all() and np.any(quaternion)):
            raise GroundGridError(
                f"expected a transform with finite numbers and a quaternion of length 1, got {list(position)} and "
                f"{list(quaternion)}"
            )
        x, y, z, w = np.array(quaternion, np.float64) / np.linalg.norm(quaternion)
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(np.array(position, np.float64), rotation)


@dataclass(frozen=True)
class GridGeometry:
    """A grid on the ground, the plane z = 0 of its frame.

    Attributes:
        resolution: meters of a cell's side.
        x, y: the first and the last meter of the grid, along both axes.
    """

    resolution: float
    x: Tuple[float, float]
    y: Tuple[float, float]

    def __post_init__(self) -> None:
        """Raises GroundGridError for a grid without cells, or with too many."""
        values = (self.resolution, *self.x, *self.y)
        if not np.isfinite(values).all() or self.resolution <= 0 or self.x[0] >= self.x[1] or self.y[0] >= self.y[1]:
            raise GroundGridError(
                "expected a grid from a smaller to a larger x and y in meters, and a resolution above 0, got "
                f"x {self.x}, y {self.y}, resolution {self.resolution:g}"
            )
        columns, rows = ((end - start) / self.resolution for start, end in (self.x, self.y))
        if max(columns, rows) > MOST_CELLS or not 1 <= round(columns) * round(rows) <= MOST_CELLS:
            raise GroundGridError(f"expected a grid of 1 to {MOST_CELLS} cells, got {columns:g} x {rows:g}")

    @property
    def shape(self) -> Tuple[int, int]:
        """(rows along y, columns along x), as nav_msgs/OccupancyGrid orders its cells."""
        (x0, x1), (y0, y1) = self.x, self.y
        return round((y1 - y0) / self.resolution), round((x1 - x0) / self.resolution)

    def centers(self) -> np.ndarray:
        """rows x columns x 3 float64: the middle of each cell in the grid's frame."""
        rows, columns = self.shape
        x = self.x[0] + (np.arange(columns) + 0.5) * self.resolution
        y = self.y[0] + (np.arange(rows) + 0.5) * self.resolution
        return np.stack([*np.meshgrid(x, y), np.zeros(self.shape)], axis=-1)


def ground_pixels(camera: CameraModel, pose: Pose, grid: GridGeometry) -> np.ndarray:
    """rows x columns int32: the pixel that shows the middle of each cell, row * width + column; NOT_SEEN for none.

    Raises:
        GroundGridError: the camera is not above the ground, or sees no cell.
    """
    if not pose.position[2] > 0:
        raise GroundGridError(
            f"expected a camera above the ground, z = 0 of the grid's frame; its pose has z = {pose.position[2]:g} m; "
            "set grid.frame to a frame on the ground, such as base_footprint, or correct the pose"
        )
    points = (grid.centers().reshape(-1, 3) - pose.position) @ pose.rotation
    pixels = camera.project(points)
    height, width = camera.size
    with np.errstate(invalid="ignore"):  # NaN is not within
        within = (pixels >= -0.5).all(axis=1) & (pixels[:, 0] < width - 0.5) & (pixels[:, 1] < height - 0.5)
    if not within.any():
        raise GroundGridError(
            "the camera sees no cell of the grid: its pose looks past it, as to the sky; the pose is that of the "
            "optical frame (x right, y down, z forward), and one that looks along x has roll -1.5708, pitch 0, "
            "yaw -1.5708"
        )
    table = np.full(len(points), NOT_SEEN, np.int32)
    column, row = np.rint(pixels[within]).astype(np.int32).T
    table[within] = row * width + column
    return table.reshape(grid.shape)


def cell_values(mask: np.ndarray, pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The grid of one camera.

    Args:
        mask: H x W uint8 ids.
        pixels: rows x columns, of `ground_pixels`.
        values: 256 int8: FREE, OCCUPIED or UNKNOWN for each id.

    Returns:
        rows x columns int8; UNKNOWN where no pixel shows the cell.
    """
    seen = values[mask.reshape(-1)[np.maximum(pixels, 0)]]
    return np.where(pixels == NOT_SEEN, np.int8(UNKNOWN), seen)


def fuse(grids: Sequence[np.ndarray]) -> np.ndarray:
    """One grid of several cameras': what one sees occupied is occupied, what none sees unknown."""
    return np.maximum.reduce(list(grids))
