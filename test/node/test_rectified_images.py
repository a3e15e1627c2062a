# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameter NAME.rectified: the ground grid of image_proc's image_rect, over Fast DDS."""

from __future__ import annotations

import re
from typing import List

import numpy as np
import pytest
from fake_node import fake_node
from nav_msgs.msg import OccupancyGrid
from sensor_msgs.msg import CameraInfo
from street_camera import FOCAL, HEIGHT, POSE, WIDTH, camera_info, street

pytestmark = pytest.mark.timeout(60)

LENS = camera_info(d=[-0.3, 0.1, 0.0, 0.0, 0.0], k=[80.0, 0.0, 60.0, 0.0, 85.0, 50.0, 0.0, 0.0, 1.0])
"""A camera with a distortion; what image_rect makes of it has the projection matrix of the camera without one."""


def grid_of(info: CameraInfo, *arguments: str) -> np.ndarray:
    """The cells of the street's grid, by a camera with this calibration."""
    topic = "/camera/image_rect"
    remapped = ("-r", f"/camera/image_raw:={topic}", "-p", f"camera.pose:={POSE}", "-p", "grid.resolution:=0.5")
    with fake_node(*remapped, *arguments) as (_, vehicle, _):
        grids: List[OccupancyGrid] = vehicle.listen("/segmentation/ground_grid", OccupancyGrid)
        camera, infos = vehicle.camera(topic), vehicle.camera("/camera/camera_info", kind=CameraInfo)
        vehicle.wait_for(lambda: infos.send(info) and camera.send(street()) and grids, "a grid")
        return np.array(grids[-1].data)


def test_rectified_images_on_a_topic_of_raw_ones_are_told(capfd: pytest.CaptureFixture) -> None:
    warning = "/front/image_raw is by its name a topic of images that are not rectified; .* such as /front/image_rect"
    for topic, is_told in (("/front/image_raw", True), ("/front/image_rect", False)):
        with fake_node("-p", "camera.rectified:=true", "-r", f"/camera/image_raw:={topic}"):
            assert bool(re.search(warning, capfd.readouterr().err)) == is_told


def test_rectified_images_are_projected_by_the_projection_matrix_alone() -> None:
    assert list(LENS.p[:3]) == [FOCAL, 0.0, WIDTH / 2] and LENS.p[6] == HEIGHT / 2
    rectified = grid_of(LENS, "-p", "camera.rectified:=true")
    np.testing.assert_array_equal(rectified, grid_of(camera_info()))
    assert (rectified != grid_of(LENS)).any(), "the distortion and the camera matrix count where images are raw"
