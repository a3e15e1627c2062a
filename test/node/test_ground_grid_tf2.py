# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ground grid's pose from the real tf2_ros, where a ROS 2 has it: there are no wheels of it."""

from __future__ import annotations

import math
from typing import List, Tuple

import pytest
from fake_node import fake_node
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import OccupancyGrid
from node_harness import Vehicle
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from street_camera import POSE, camera_info, street
from tf2_ros import StaticTransformBroadcaster, TransformBroadcaster

pytestmark = pytest.mark.timeout(60)

GRID = ("-p", "grid.x:=[0.0, 10.0]", "-p", "grid.y:=[-5.0, 5.0]", "-p", "grid.resolution:=0.5")
FORWARD = (math.sin(-math.pi / 4 - 0.1), 0.0, 0.0, math.cos(-math.pi / 4 - 0.1))
"""Roll of -pi/2 - 0.2, as a quaternion; with the mount's yaw of -pi/2 it is the rotation of POSE."""


def transform(
    parent: str, child: str, position: Tuple[float, ...], rotation: Tuple[float, ...], second: int = 0
) -> TransformStamped:
    message = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
    message.header.stamp.sec = second
    place, turn = message.transform.translation, message.transform.rotation
    place.x, place.y, place.z = position
    turn.x, turn.y, turn.z, turn.w = rotation
    return message


MOUNT = transform("base_link", "mount", (0.0, 0.0, 1.5), (0.0, 0.0, -math.sqrt(0.5), math.sqrt(0.5)))
"""A chain of two static transforms gives POSE."""
CAMERA = transform("mount", "front_camera", (0.0, 0.0, 0.0), FORWARD)


class Grids:
    """A camera's images, all of the same street, and the cells that come of them."""

    def __init__(self, vehicle: Vehicle) -> None:
        self._vehicle = vehicle
        self._heard = vehicle.listen("/segmentation/ground_grid", OccupancyGrid)
        self._camera = vehicle.camera("/camera/image_raw")
        self._infos = vehicle.camera("/camera/camera_info", kind=CameraInfo)

    def send(self, second: int) -> None:
        image = street()
        image.header.frame_id, image.header.stamp.sec = "front_camera", second
        self._infos.send(camera_info())
        self._camera.send_as_it_is(image)
        self._vehicle.spin_until(lambda: False, 0.05)

    def at(self, second: int) -> List[int]:
        """The cells of an image with this stamp; none if they have not come."""
        self.send(second)
        cells = [list(grid.data) for grid in self._heard if grid.header.stamp.sec == second]
        self._heard.clear()
        return cells[-1] if cells else []

    def wait_at(self, second: int) -> List[int]:
        return self._vehicle.wait_for(lambda: self.at(second), f"the grid of second {second}")


@pytest.fixture(scope="module")
def expected() -> List[int]:
    """The cells of the parameter's pose."""
    with fake_node(*GRID, "-p", f"camera.pose:={POSE}") as (_, vehicle, _):
        return Grids(vehicle).wait_at(100)


def test_a_late_pose_of_static_transforms_is_that_of_the_parameter(
    capfd: pytest.CaptureFixture, expected: List[int]
) -> None:
    with fake_node(*GRID) as (node, vehicle, _):
        grids, said = Grids(vehicle), []
        assert "/tf" not in dict(node.get_topic_names_and_types()), "not before a grid is wanted"

        def is_said() -> bool:
            assert not grids.at(100)
            said.append(capfd.readouterr().err)
            return "set the parameter camera.pose" in "".join(said)

        vehicle.wait_for(is_said, "that the pose is missing")
        assert "tf2 does not know the pose of camera: " in "".join(said)
        StaticTransformBroadcaster(vehicle.node).sendTransform([MOUNT, CAMERA])
        assert grids.wait_at(100) == expected and {0, 100} < set(expected)
        higher = transform("base_link", "mount", (0.0, 0.0, 3.0), (0.0, 0.0, -math.sqrt(0.5), math.sqrt(0.5)))
        StaticTransformBroadcaster(vehicle.node).sendTransform([higher, CAMERA])
        vehicle.wait_for(lambda: grids.wait_at(100) != expected, "the grid of the new pose")


def test_a_moving_pose_is_that_of_the_stamp_also_after_a_step_back_in_time(
    capfd: pytest.CaptureFixture, expected: List[int]
) -> None:
    """The camera is where it should be in second 102 alone; tf2 ignores what is older than what it has."""
    with fake_node(*GRID) as (_, vehicle, _):
        grids = Grids(vehicle)
        StaticTransformBroadcaster(vehicle.node).sendTransform(CAMERA)
        moving = TransformBroadcaster(vehicle.node)

        def drive(first: int) -> None:
            for second in range(first, first + 5):
                height = 1.5 + abs(second - first - 2)
                place = transform("base_link", "mount", (0.0, 0.0, height), (0.0, 0.0, -math.sqrt(0.5), math.sqrt(0.5)))
                place.header.stamp.sec = second
                moving.sendTransform(place)

        def is_right(first: int) -> bool:
            drive(first)
            return grids.at(first + 2) == expected

        vehicle.wait_for(lambda: is_right(100), "the grid of second 102")
        assert grids.wait_at(104) != expected
        old, said = "newest pose of camera is 6.0 s older than its image", []

        def is_told() -> bool:
            assert not grids.at(110)
            said.append(capfd.readouterr().err)
            return old in "".join(said)

        vehicle.wait_for(is_told, "that the pose is too old")
        vehicle.wait_for(lambda: is_right(20), "the grid of second 22")


def test_a_frame_that_tf2_refuses_is_told(capfd: pytest.CaptureFixture) -> None:
    with fake_node(*GRID, "-p", "grid.frame:=/base_link") as (_, vehicle, _):
        grids, said = Grids(vehicle), []

        def is_said() -> bool:
            grids.send(100)
            said.append(capfd.readouterr().err)
            return "tf2 does not know the pose of camera: " in "".join(said)

        vehicle.wait_for(is_said, "what is wrong with the frame")
        assert "cannot start with a '/'" in "".join(said)
