# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The projection to the ground: a painted floor, seen by several cameras, comes back line by line."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, List

import cv2
import numpy as np
import pytest

from bisenet_ros.geometry.camera_model import CameraInfoError, CameraModel
from bisenet_ros.geometry.ground_projection import (
    NOT_SEEN,
    GridGeometry,
    GroundGridError,
    Pose,
    cell_values,
    fuse,
    ground_pixels,
)

HEIGHT, WIDTH, FOCAL = 720, 960, 620.0
GRID = GridGeometry(resolution=0.1, x=(1.0, 8.0), y=(-3.5, 3.5))
FLOOR, LINE, SKY = 0, 1, 2
FORWARD = (0.3, -0.2, 1.5, -math.pi / 2 - 0.25, 0.02, -math.pi / 2 + 0.05)
"""1.5 m above the ground, 14 degrees downward, a little to the left and not quite level."""
LENSES = {
    "pinhole": ("plumb_bob", [0.0] * 5),
    "barrel": ("plumb_bob", [-0.3, 0.09, 0.001, -0.002, -0.01]),
    "rational": ("rational_polynomial", [0.2, -0.1, 0.001, 0.0, 0.01, 0.5, -0.05, 0.02]),
    "fisheye": ("equidistant", [-0.02, 0.005, -0.001, 0.0]),
}


def camera_info(model: str = "plumb_bob", d: Any = (0.0,) * 5, **changes: Any) -> SimpleNamespace:
    k = [FOCAL, 0, WIDTH / 2 + 7, 0, FOCAL, HEIGHT / 2 - 5, 0, 0, 1]
    p = [500.0, 0, WIDTH / 2, 0, 0, 500.0, HEIGHT / 2, 0, 0, 0, 1, 0]
    roi = region_of_interest(width=0, height=0)
    entries = {"height": HEIGHT, "width": WIDTH, "distortion_model": model, "d": list(d), "k": k, "p": p, "roi": roi}
    return SimpleNamespace(**{**entries, "r": [0.0] * 9, "binning_x": 0, "binning_y": 0, **changes})


def region_of_interest(*, width: int, height: int) -> SimpleNamespace:
    return SimpleNamespace(x_offset=0, y_offset=0, width=width, height=height, do_rectify=False)


def floor(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Lines of 30 cm, every 2 m along and every 1.5 m across."""
    lines = (np.mod(x, 2.0) < 0.3) | (np.mod(y, 1.5) < 0.3)
    return np.where(lines, LINE, FLOOR).astype(np.uint8)


def see(camera: CameraModel, pose: Pose) -> np.ndarray:
    """The floor's picture: each pixel's ray, undistorted by OpenCV's iterations, meets the ground or the sky."""
    pixels = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1).reshape(-1, 1, 2).astype(np.float64)
    undistort = cv2.fisheye.undistortPoints if camera.model == "equidistant" else cv2.undistortPoints
    distortion = camera.distortion if len(camera.distortion) else np.zeros(4)
    rays = undistort(pixels, camera.matrix, distortion).reshape(-1, 2)
    rays = np.column_stack([rays, np.ones(len(rays))]) @ pose.rotation.T
    with np.errstate(divide="ignore", invalid="ignore"):
        ground = pose.position + rays * (-pose.position[2] / rays[:, 2:])
    picture = np.where(rays[:, 2] < 0, floor(ground[:, 0], ground[:, 1]), SKY)
    return picture.reshape(HEIGHT, WIDTH).astype(np.uint8)


def values(*, free: List[int], occupied: List[int]) -> np.ndarray:
    table = np.full(256, -1, np.int8)
    table[free], table[occupied] = 0, 100
    return table


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("rectified", [False, True])
def test_every_line_of_the_floor_is_within_one_cell(lens: str, rectified: bool) -> None:
    camera, pose = (
        CameraModel.from_camera_info(camera_info(*LENSES[lens]), rectified=rectified),
        Pose.from_angles(FORWARD),
    )
    pixels = ground_pixels(camera, pose, GRID)
    grid = cell_values(see(camera, pose), pixels, values(free=[FLOOR], occupied=[LINE]))
    assert grid.shape == (70, 70) and grid.dtype == np.int8
    seen = pixels != NOT_SEEN
    assert seen.mean() > 0.5 and (grid[~seen] == -1).all() and (grid[seen] >= 0).all()
    centers = GRID.centers()
    expected = np.where(floor(centers[..., 0], centers[..., 1]) == LINE, 100, 0)
    around = [np.roll(expected, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    assert np.any(np.equal(around, grid), axis=0)[seen].all()
    assert (grid == expected)[seen].mean() > 0.93


def test_the_raw_and_the_rectified_image_of_a_stereo_camera_have_one_frame() -> None:
    """OpenCV's map tells which raw pixel is at each rectified one, as image_proc makes the image."""
    rotation = cv2.Rodrigues(np.array([0.03, -0.02, 0.01]))[0]
    info, pose = camera_info(*LENSES["barrel"], r=[*rotation.flat]), Pose.from_angles(FORWARD)
    raw, rectified = (
        ground_pixels(CameraModel.from_camera_info(info, rectified=is_rectified), pose, GRID)
        for is_rectified in (False, True)
    )
    k, p = np.reshape(info.k, (3, 3)), np.reshape(info.p, (3, 4))[:, :3]
    maps = cv2.initUndistortRectifyMap(k, np.array(info.d), rotation, p, (WIDTH, HEIGHT), cv2.CV_32FC1)
    both = (raw != NOT_SEEN) & (rectified != NOT_SEEN)
    expected = [of_pixels.flat[rectified[both]] for of_pixels in maps]
    found = [raw[both] % WIDTH, raw[both] // WIDTH]
    assert both.mean() > 0.5 and np.abs(np.subtract(found, expected)).max() < 1.5


def test_what_a_strong_lens_folds_back_is_not_seen() -> None:
    """Behind the turning point of the polynomial, points far outside would be projected into the image."""
    camera = CameraModel.from_camera_info(camera_info("plumb_bob", [-0.4, 0.0, 0.0, 0.0, 0.0]))
    outside = np.array([[1.5, 0.0, 1.0]])
    folded = cv2.projectPoints(outside, np.zeros(3), np.zeros(3), camera.matrix, camera.distortion)[0].ravel()
    assert 0 < folded[0] < WIDTH
    assert np.isnan(camera.project(outside)).all()
    assert np.isfinite(camera.project(np.array([[0.5, 0.0, 1.0]]))).all()
    assert np.isnan(camera.project(np.array([[0.1, 0.0, -1.0]]))).all(), "behind the camera"


def test_angles_and_quaternion_are_the_same_pose() -> None:
    angles = Pose.from_angles((1, 2, 3, 0, 0, math.pi / 2))
    quaternion = Pose.from_quaternion((1, 2, 3), (0, 0, math.sqrt(0.5), math.sqrt(0.5)))
    assert np.allclose(angles.rotation, quaternion.rotation) and np.allclose(angles.position, quaternion.position)
    assert np.allclose(angles.rotation @ [1, 0, 0], [0, 1, 0])
    forward = Pose.from_angles((0, 0, 1, -math.pi / 2, 0, -math.pi / 2))
    assert np.allclose(forward.rotation @ [0, 0, 1], [1, 0, 0]), "the optical axis"
    assert np.allclose(forward.rotation @ [1, 0, 0], [0, -1, 0]), "right in the image is right of the vehicle"


def test_several_cameras_fuse() -> None:
    left, right = np.int8([[0, 100, -1, -1]]), np.int8([[100, 0, 0, -1]])
    assert fuse([left, right]).tolist() == [[100, 100, 0, -1]]


@pytest.mark.parametrize(
    "pose, message",
    [
        ((0, 0, -0.2, 0, 0, 0), "above the ground, z = 0 of the grid's frame; its pose has z = -0.2 m"),
        ((0, 0, 1.5, math.pi / 2, 0, -math.pi / 2), "sees no cell of the grid: its pose looks past it"),
        ((0, 0, 1.5), r"expected a pose as \[x, y, z, roll, pitch, yaw\], got \[0, 0, 1.5\]"),
        ((0, 0, math.nan, 0, 0, 0), "expected a pose as"),
    ],
)
def test_poses_that_see_no_ground_are_refused(pose: Any, message: str) -> None:
    with pytest.raises(GroundGridError, match=message):
        ground_pixels(CameraModel.from_camera_info(camera_info()), Pose.from_angles(pose), GRID)


@pytest.mark.parametrize("quaternion", [(0, 0, 0, 0), (math.nan, 0, 0, 1)])
def test_a_quaternion_of_no_rotation_is_refused(quaternion: Any) -> None:
    with pytest.raises(GroundGridError, match=r"a quaternion of length 1, got \[0, 0, 1\] and \["):
        Pose.from_quaternion((0, 0, 1), quaternion)


def test_a_region_of_interest_that_is_the_whole_image_is_none() -> None:
    info = camera_info(roi=region_of_interest(width=WIDTH, height=HEIGHT))
    assert CameraModel.from_camera_info(info).size == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"k": [0.0] * 9}, r"expected a calibrated camera, got a camera_info whose camera matrix \(k\) is \[\[0.0"),
        ({"d": [0.1] * 5, "distortion_model": "ftheta"}, "plumb_bob, rational_polynomial, equidistant .* got 'ftheta'"),
        ({"d": [0.1] * 3}, "expected 4 or 5 coefficients of plumb_bob in the camera_info, got 3"),
        ({"d": [math.nan] * 5}, r"expected finite coefficients of plumb_bob in the camera_info, got \[nan"),
        ({"d": [math.inf, 0.0, 0.0, 0.0]}, "expected finite coefficients of plumb_bob"),
        ({"r": [math.nan] * 9}, r"expected a rotation as rectification matrix \(r\) of the camera_info, got \[\[nan"),
        ({"r": [1.0] * 9}, "expected a rotation as rectification matrix"),
        ({"binning_x": 2}, "has binning or a region of interest"),
        ({"roi": region_of_interest(width=WIDTH, height=HEIGHT // 2)}, "has binning or a region of interest"),
    ],
)
def test_camera_infos_without_a_projection_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(CameraInfoError, match=message):
        CameraModel.from_camera_info(camera_info(**changes))


@pytest.mark.parametrize(
    "entries",
    [(0.0, (0, 1), (0, 1)), (0.1, (1, 0), (0, 1)), (1e-4, (0, 100), (0, 100)), (0.1, (-1e308, 1e308), (0.0, 1.0))],
)
def test_grids_without_cells_or_with_too_many_are_refused(entries: Any) -> None:
    with pytest.raises(GroundGridError, match="expected a grid"):
        GridGeometry(*entries)
