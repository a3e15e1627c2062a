# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Poses of cameras on a double of tf2_ros, which has no wheels; test_ground_grid_tf2.py is for the real one."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.time import Time
from std_msgs.msg import Header

from bisenet_ros.geometry.ground_projection import GroundGridError
from bisenet_ros.node import camera_poses
from bisenet_ros.node.camera_poses import CameraPoses


class FakeTransformException(Exception):
    """The base class of what tf2 raises."""


class FakeExtrapolationException(FakeTransformException):
    """The transform is known, but not at this time."""


class FakeBuffer:
    """Heights of the camera above base_link by second, as tf2_ros.Buffer tells them."""

    made: List[FakeBuffer] = []

    def __init__(self) -> None:
        self.heights: Dict[float, float] = {}
        FakeBuffer.made.append(self)

    def can_transform(self, target: str, source: str, time: Time, timeout: Any) -> bool:
        return bool(self.heights)

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        if (target, source) != ("base_link", "front_camera") or not self.heights:
            raise FakeTransformException(f'"{source}" passed to lookupTransform argument source_frame does not exist. ')
        second = time.nanoseconds / 10**9 or max(self.heights)
        if second not in self.heights:
            raise FakeExtrapolationException("Lookup would require extrapolation into the future.")
        message = TransformStamped(header=header(second))
        message.transform.translation.z, message.transform.rotation.w = self.heights[second], 1.0
        return message

    def clear(self) -> None:
        self.heights.clear()


class FakeListener:
    def __init__(self, buffer: FakeBuffer, node: Any) -> None:
        self.is_registered = True

    def unregister(self) -> None:
        self.is_registered = False


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> List[FakeBuffer]:
    """The buffers that are made."""
    doubles = {"Buffer": FakeBuffer, "TransformListener": FakeListener}
    doubles.update(TransformException=FakeTransformException, ExtrapolationException=FakeExtrapolationException)
    for name, double in doubles.items():
        monkeypatch.setattr(camera_poses, name, double)
    monkeypatch.setattr(FakeBuffer, "made", [])
    return FakeBuffer.made


def poses_of(pose: Tuple[float, ...]) -> CameraPoses:
    parameters: Any = {"grid.frame": "base_link", "camera.pose": list(pose)}
    node: Any = None
    return CameraPoses(node, parameters)


def header(seconds: float, frame_id: str = "front_camera") -> Header:
    message = Header(frame_id=frame_id)
    message.stamp.sec, message.stamp.nanosec = int(seconds), round(seconds % 1 * 10**9)
    return message


def test_the_parameter_needs_no_tf2(buffers: List[FakeBuffer]) -> None:
    poses = poses_of((0.0, 0.0, 1.5, 0.0, 0.0, 0.0))
    assert poses.pose("camera", header(100)).position[2] == 1.5
    poses.forget_moving()
    poses.close()
    assert not buffers


def test_a_pose_is_that_of_the_stamp_else_the_newest(buffers: List[FakeBuffer]) -> None:
    poses = poses_of((0.0,))
    assert not buffers, "tf2 is listened to before a pose is needed"
    with pytest.raises(GroundGridError, match="tf2 does not know the pose of camera: .*; publish it, or set the param"):
        poses.pose("camera", header(100))
    (buffer,) = buffers
    buffer.heights.update({100: 1.5, 101: 2.0})
    heights = [poses.pose("camera", header(seconds)).position[2] for seconds in (100, 101, 101.5, 100.75)]
    assert heights == [1.5, 2.0, 2.0, 2.0]
    for seconds, expected in ((104, "3.0 s older"), (98.5, "2.5 s newer")):
        with pytest.raises(GroundGridError, match=f"tf2's newest pose of camera is {expected} than its image; publish"):
            poses.pose("camera", header(seconds))
    with pytest.raises(GroundGridError, match='"rear_camera" passed to lookupTransform'):
        poses.pose("camera", header(100, "rear_camera"))
    poses.forget_moving()
    assert not buffer.heights and len(buffers) == 1


class FakeParameters(Dict[str, Any]):
    """Like the node's `Parameters`."""

    def is_enabled(self, camera: str) -> bool:
        return self[f"{camera}.enabled"]


def test_two_cameras_of_one_frame_id_have_no_pose_of_tf2(buffers: List[FakeBuffer]) -> None:
    """As of drivers that call every camera "camera"."""
    parameters: Any = FakeParameters({"grid.frame": "base_link", "left.pose": [0.0], "right.pose": [0.0]})
    parameters.update({"left.enabled": True, "right.enabled": True})
    node: Any = None
    poses = CameraPoses(node, parameters)
    with pytest.raises(GroundGridError):
        poses.pose("left", header(100))
    buffers[0].heights[100] = 1.5
    assert poses.pose("left", header(100)).position[2] == 1.5
    for names in (("left", "right"), ("right", "left")):
        with pytest.raises(GroundGridError, match="{} and of {} have the same frame_id, 'front_camera'".format(*names)):
            poses.pose(names[1], header(100))
    parameters["left.enabled"] = False
    assert poses.pose("right", header(100)).position[2] == 1.5


def test_the_listener_ends_with_the_poses(buffers: List[FakeBuffer], monkeypatch: pytest.MonkeyPatch) -> None:
    listeners: List[FakeListener] = []

    def listen(*arguments: Any) -> FakeListener:
        listeners.append(FakeListener(*arguments))
        return listeners[-1]

    monkeypatch.setattr(camera_poses, "TransformListener", listen)
    poses = poses_of((0.0,))
    with pytest.raises(GroundGridError):
        poses.pose("camera", header(100))
    assert [listener.is_registered for listener in listeners] == [True]
    poses.close()
    assert [listener.is_registered for listener in listeners] == [False]


def test_without_tf2_the_parameter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_poses, "Buffer", None)
    expected = "tf2_ros is not installed; set the parameter camera.pose to .* of its optical frame in base_link"
    with pytest.raises(GroundGridError, match=expected):
        poses_of((0.0,)).pose("camera", header(100))
