# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A camera's projection with lens distortion, as sensor_msgs/CameraInfo describes it."""

from dataclasses import dataclass, field
from typing import Any, Tuple

import cv2
import numpy as np

from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import Size

POLYNOMIALS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14)}
"""OpenCV's pinhole distortion models, with the numbers of coefficients that they may have."""
TANGENTIAL, BEYOND_RADIAL = slice(2, 4), slice(8, None)
"""Of their coefficients: p1 and p2; and those of thin prisms and of a tilted sensor."""
FISHEYE = "equidistant"
FISHEYE_COEFFICIENTS = 4
WIDEST = 20.0
"""The largest distance of a ray from the optical axis that is considered, at depth 1: 87 degrees."""

ROTATION_TOLERANCE = 0.05
"""Of a rectification matrix, as calibrations are rounded."""


class CameraInfoError(BisenetError):
    """A CameraInfo that does not describe a projection."""


@dataclass(frozen=True)
class CameraModel:
    """Projects points of the optical frame (x right, y down, z forward) to pixels.

    As in image_geometry, the frame is that of the rectified image, whose axes may be turned against the lens's own: in
    a stereo pair both cameras' are parallel.

    Attributes:
        size: (height, width) of the image.
        matrix: 3 x 3 float64, the pinhole camera's.
        distortion: the coefficients of `model`; none for a rectified image, or where all are 0, as in image_geometry.
        model: "plumb_bob", "rational_polynomial" or "equidistant".
        rectification: 3 x 3 float64; from the lens's axes to the frame's.
    """

    size: Size
    matrix: np.ndarray
    distortion: np.ndarray
    model: str
    rectification: np.ndarray = field(default_factory=lambda: np.eye(3))

    @classmethod
    def from_camera_info(cls, info: Any, *, rectified: bool = False) -> "CameraModel":
        """The model of a sensor_msgs/CameraInfo, or with `rectified` that of the image that image_rect publishes.

        Raises:
            CameraInfoError: the camera is not calibrated, its distortion or rectification cannot be meant, or only a
                part of the image is read out.
        """
        matrix = np.reshape(info.p, (3, 4))[:, :3] if rectified else np.reshape(info.k, (3, 3))
        matrix = np.array(matrix, np.float64)
        if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
            name = "projection matrix (p)" if rectified else "camera matrix (k)"
            raise CameraInfoError(f"expected a calibrated camera, got a camera_info whose {name} is {matrix.tolist()}")
        is_whole = (info.roi.height, info.roi.width) in ((0, 0), (info.height, info.width))  # both mean all of it
        if max(info.binning_x, info.binning_y) > 1 or not is_whole:
            raise CameraInfoError(
                "expected a camera_info of whole images, this one has binning or a region of interest"
            )
        distortion = np.zeros(0) if rectified else np.array(info.d, np.float64)
        model = "plumb_bob" if rectified else info.distortion_model
        if distortion.any():
            _check_distortion(model, distortion)
        rectification = np.eye(3) if rectified or not np.any(info.r) else _rotation(info.r)
        coefficients = distortion if distortion.any() else np.zeros(0)
        return cls((info.height, info.width), matrix, coefficients, model, rectification)

    def project(self, points: np.ndarray) -> np.ndarray:
        """N x 3 float64 points to N x 2 float64 pixels (x, y), the center of the first being (0, 0).

        NaN where the camera does not see the point: behind it, or so far off the axis that the distortion's polynomial,
        which was fitted to the image alone, folds back into it.
        """
        points = points @ self.rectification  # row vectors: by its transpose
        pixels = np.full((len(points), 2), np.nan)
        in_front = points[:, 2] > 1e-6
        rays = points[in_front, :2] / points[in_front, 2:]
        radius = np.hypot(rays[:, 0], rays[:, 1])
        seen = np.flatnonzero(in_front)[radius < self._largest_radius()]
        if not len(seen):
            return pixels
        pixels[seen] = _project(points[seen], self.model, self.matrix, self.distortion)
        return pixels

    def _largest_radius(self) -> float:
        """The distance from the axis, at depth 1, where radial distortion folds back; the tangential one is small."""
        radius = np.linspace(0, WIDEST, 4001)
        rays = np.stack([radius, np.zeros_like(radius), np.ones_like(radius)], axis=-1)
        radial = self.distortion.copy()
        if self.model != FISHEYE:
            radial[TANGENTIAL] = radial[BEYOND_RADIAL] = 0
        shrinking = np.flatnonzero(np.diff(_project(rays, self.model, np.eye(3), radial)[:, 0]) <= 0)
        return float(radius[shrinking[0]]) if len(shrinking) else WIDEST


def _project(points: np.ndarray, model: str, matrix: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """N x 3 float64 points in front of the camera to N x 2 float64 pixels (x, y)."""
    no_motion = np.zeros(3)
    if model == FISHEYE and len(distortion):
        projected = cv2.fisheye.projectPoints(points.reshape(-1, 1, 3), no_motion, no_motion, matrix, distortion)[0]
    else:
        projected = cv2.projectPoints(points, no_motion, no_motion, matrix, distortion)[0]
    return projected.reshape(-1, 2)


def _rotation(r: Any) -> np.ndarray:
    """The rectification matrix of a camera_info as 3 x 3 float64; raises CameraInfoError where it is no rotation."""
    rotation = np.array(r, np.float64).reshape(3, 3)
    if not (np.isfinite(rotation).all() and np.allclose(rotation @ rotation.T, np.eye(3), atol=ROTATION_TOLERANCE)):
        raise CameraInfoError(
            f"expected a rotation as rectification matrix (r) of the camera_info, got {rotation.tolist()}"
        )
    return rotation


def _check_distortion(model: str, coefficients: np.ndarray) -> None:
    numbers: Tuple[int, ...] = (FISHEYE_COEFFICIENTS,) if model == FISHEYE else POLYNOMIALS.get(model, ())
    if not numbers:
        known = ", ".join((*POLYNOMIALS, FISHEYE))
        raise CameraInfoError(f"expected a distortion model of {known} in the camera_info, got {model!r}")
    if len(coefficients) not in numbers:
        wanted = " or ".join(map(str, numbers))
        raise CameraInfoError(f"expected {wanted} coefficients of {model} in the camera_info, got {len(coefficients)}")
    if not np.isfinite(coefficients).all():
        raise CameraInfoError(
            f"expected finite coefficients of {model} in the camera_info, got {coefficients.tolist()}"
        )
