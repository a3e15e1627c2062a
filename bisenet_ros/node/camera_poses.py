# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the cameras are in the frame of the ground grid: from the parameters NAME.pose, else from tf2."""

from typing import Any, Dict, Optional, Tuple

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

from bisenet_ros.geometry.ground_projection import GroundGridError, Pose
from bisenet_ros.node.image_messages import stamp_seconds
from bisenet_ros.node.parameter_definitions import NO_POSE
from bisenet_ros.node.parameters import Parameters

try:
    from tf2_ros import Buffer, ExtrapolationException, TransformException, TransformListener
except ImportError:  # then poses come from parameters
    Buffer = TransformListener = None
    ExtrapolationException = TransformException = RuntimeError

FIRST_WAIT = 1.0
"""Seconds that the first pose of tf2 may take to come."""
LONGEST_GAP = 2.0
"""Seconds from the newest pose of tf2 to an image's stamp, beyond which the pose is not that of the image. The first
image for which tf2 is listened to is older than FIRST_WAIT."""


class CameraPoses:
    """The poses of the cameras' optical frames in `grid.frame`; for one thread, but for `close`.

    tf2 is listened to from the first pose on that it is needed for: a Python node spends much time on a busy /tf.
    """

    def __init__(self, node: Node, parameters: Parameters) -> None:
        self._node = node
        self._parameters = parameters
        self._frame = parameters["grid.frame"]
        self._frame_ids: Dict[str, str] = {}  # of the cameras' last images
        self._transforms: Optional[Any] = None
        self._listener: Optional[Any] = None

    def pose(self, name: str, header: Header) -> Pose:
        """The pose of a camera at the stamp of its image, or the newest where tf2 does not quite reach to the stamp.

        Raises:
            GroundGridError: neither the parameter nor tf2 has it, tf2's newest is more than LONGEST_GAP from the stamp,
                or tf2 has one for two cameras.
        """
        values = list(self._parameters[f"{name}.pose"])
        if values != NO_POSE:
            return Pose.from_angles(values)
        remedy = f"set the parameter {name}.pose to [x, y, z, roll, pitch, yaw] of its optical frame in {self._frame}"
        if Buffer is None:
            raise GroundGridError(f"the pose of {name} is not known, as tf2_ros is not installed; {remedy}")
        other = self._camera_of_same_frame(name, header.frame_id)
        if other:
            raise GroundGridError(
                f"the images of {other} and of {name} have the same frame_id, {header.frame_id!r}, for which tf2 has "
                f"one pose; let each driver have its own, or {remedy}"
            )
        try:
            found, gap = self._lookup(header)
        except TransformException as error:
            raise GroundGridError(f"tf2 does not know the pose of {name}: {error}; publish it, or {remedy}") from None
        if abs(gap) > LONGEST_GAP:
            raise GroundGridError(
                f"tf2's newest pose of {name} is {abs(gap):.1f} s {'older' if gap > 0 else 'newer'} than its image; "
                f"publish it for the stamps of the images, or {remedy}"
            )
        position, rotation = found.translation, found.rotation
        return Pose.from_quaternion(
            (position.x, position.y, position.z), (rotation.x, rotation.y, rotation.z, rotation.w)
        )

    def forget_moving(self) -> None:
        """Drops the moving transforms, as after a step back in time; tf2 would ignore those that come."""
        if self._transforms is not None:
            self._transforms.clear()

    def close(self) -> None:
        if self._listener is not None:
            self._listener.unregister()

    def _camera_of_same_frame(self, name: str, frame_id: str) -> str:
        """Another camera whose last image had this frame_id; empty if there is none."""
        self._frame_ids[name] = frame_id
        others = (other for other, found in self._frame_ids.items() if other != name and found == frame_id)
        return next((other for other in others if self._parameters.is_enabled(other)), "")

    def _lookup(self, header: Header) -> Tuple[Any, float]:
        """The geometry_msgs/Transform from the frame of an image to the grid's, and the seconds from it to the image.

        These are 0 but where it is the newest transform, as tf2 has none for the image's stamp.
        """
        if self._transforms is None:
            self._transforms = Buffer()
            self._listener = TransformListener(self._transforms, self._node)
            self._transforms.can_transform(self._frame, header.frame_id, Time(), timeout=Duration(seconds=FIRST_WAIT))
        try:
            at_stamp = self._transforms.lookup_transform(self._frame, header.frame_id, Time.from_msg(header.stamp))
            return at_stamp.transform, 0.0
        except ExtrapolationException:
            newest = self._transforms.lookup_transform(self._frame, header.frame_id, Time())
            return newest.transform, stamp_seconds(header) - stamp_seconds(newest.header)
