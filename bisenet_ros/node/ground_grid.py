# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The masks of all cameras, projected to flat ground, as one nav_msgs/OccupancyGrid."""

import time
from array import array
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from nav_msgs.msg import MapMetaData, OccupancyGrid
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from bisenet_ros.errors import BisenetError
from bisenet_ros.geometry.camera_model import CameraModel
from bisenet_ros.geometry.ground_projection import (
    FREE,
    OCCUPIED,
    UNKNOWN,
    GridGeometry,
    GroundGridError,
    cell_values,
    fuse,
    ground_pixels,
)
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node import qos
from bisenet_ros.node.camera import CameraFrame
from bisenet_ros.node.camera_poses import CameraPoses
from bisenet_ros.node.image_messages import stamp_seconds
from bisenet_ros.node.parameters import Parameters

DRIVABLE, IGNORED = ("road", "drivable"), ("sky",)
"""Classes that are free and unknown unless the parameters name others."""
FUSION_SECONDS, FUSION_INTERVALS = 0.5, 1.5
"""A camera is part of the grid while its last mask is not older than the newest one by more than so many seconds, or so
many of the camera's own intervals between masks, whichever is longer: down to one mask in 3 s no camera falls out."""
STEP_BACK_SECONDS = 0.5
"""A larger step back of a camera's stamps begins the grid again, as where a bag begins again."""
FORGET_SECONDS = 5.0
"""Of the machine's own clock: a camera without a mask for that long is forgotten. It was disabled or has failed, and
its last stamp may be ahead of all others', as after a bag that begins again."""


class _Grid(NamedTuple):
    """What one camera sees.

    Attributes:
        stamp, header: of its mask, the stamp in seconds.
        interval: seconds from the stamp of the mask before it; 0 for the first.
        received: when the mask came, by time.monotonic().
        is_late: whether it was too old for the grid when it came.
    """

    stamp: float
    header: Header
    interval: float
    received: float
    cells: np.ndarray
    is_late: bool = False

    @property
    def longest_age(self) -> float:
        """How much older than the newest mask of all cameras this one may be, in seconds."""
        return max(FUSION_SECONDS, FUSION_INTERVALS * self.interval)


class _View(NamedTuple):
    """What a camera's lookup table was made of, and the table; see `ground_pixels`."""

    key: Tuple
    pixels: np.ndarray


class GroundGrid:
    """Publishes `ground_grid`, in the parameters' frame, with every mask while somebody subscribes.

    The lookup table of a camera is computed once for each of its camera_infos and poses.
    """

    def __init__(self, node: Node, parameters: Parameters, *, classes: ClassMap) -> None:
        """Raises BisenetError for a grid without cells, or a class that the model lacks or that is free and unknown."""
        self._node = node
        self._parameters = parameters
        self._frame = parameters["grid.frame"]
        (x0, x1), (y0, y1) = (map(float, parameters[name]) for name in ("grid.x", "grid.y"))
        self._geometry = GridGeometry(float(parameters["grid.resolution"]), (x0, x1), (y0, y1))
        self._classes = classes
        self._drivable = _chosen(classes, parameters, "grid.drivable", default=DRIVABLE)
        ignored = _chosen(classes, parameters, "grid.ignored", default=IGNORED)
        self._values = _values(classes, self._drivable, ignored)
        self._publisher = qos.create_publisher(node, OccupancyGrid, "ground_grid", 1)
        self._views: Dict[str, _View] = {}
        self._grids: Dict[str, _Grid] = {}
        self._poses = CameraPoses(node, parameters)

    @property
    def has_subscriber(self) -> bool:
        return self._publisher.get_subscription_count() > 0

    def publish(self, frame: CameraFrame) -> None:
        """Publishes the grid with this frame's mask in it.

        Raises:
            BisenetError: the camera is not calibrated, its calibration is for another size, its pose is not known or
                of no use, or its masks are too old beside those of other cameras.
        """
        if not self._drivable:
            raise GroundGridError(
                f"the ground grid needs to know which classes are drivable; set the parameter grid.drivable to some of "
                f"{', '.join(self._classes.names)}"
            )
        name, header = frame.camera.name, frame.message.header
        seconds = stamp_seconds(header)
        last, now = self._grids.get(name), time.monotonic()
        self._grids = {camera: grid for camera, grid in self._grids.items() if now < grid.received + FORGET_SECONDS}
        if last and seconds < last.stamp - STEP_BACK_SECONDS:
            self._grids.clear()
            self._poses.forget_moving()
        pixels = self._pixels(name, frame.camera_info, frame.mask.shape, header)
        cells = cell_values(frame.mask, pixels, self._values)
        grid = self._grids[name] = _Grid(seconds, header, _interval(self._grids.get(name), seconds), now, cells)
        newest = max(self._grids, key=lambda camera: self._grids[camera].stamp)
        newest_stamp = self._grids[newest].stamp
        if newest_stamp - seconds > grid.longest_age:
            self._grids[name] = grid._replace(is_late=True)
            if last and last.is_late:  # not where it is one image, as after a bag that begins again
                raise GroundGridError(
                    f"the masks of {name} are left out: by its stamp this one is {newest_stamp - seconds:.1f} s older "
                    f"than that of {newest}; its images come late, or the clocks of the cameras differ"
                )
            return
        recent = [other.cells for other in self._grids.values() if newest_stamp - other.stamp <= other.longest_age]
        self._publisher.publish(self._message(fuse(recent), self._grids[newest].header))

    def close(self) -> None:
        self._poses.close()
        self._node.destroy_publisher(self._publisher)

    def _pixels(self, name: str, info: Optional[CameraInfo], size: Tuple[int, ...], header: Header) -> np.ndarray:
        if info is None:
            raise GroundGridError(f"the ground grid needs a camera_info of {name}, and none has come yet")
        if (info.height, info.width) != size:
            raise GroundGridError(
                f"the camera_info of {name} is for images of {size_text((info.height, info.width))}, they are "
                f"{size_text(size)}"
            )
        rectified = self._parameters[f"{name}.rectified"]
        pose = self._poses.pose(name, header)
        placed = (*pose.position, *pose.rotation.flat)
        calibration = np.concatenate([info.d, info.k, info.r, info.p]).tobytes()  # a NaN would differ from itself
        key = (*size, info.distortion_model, len(info.d), calibration, rectified, *placed)
        view = self._views.get(name)
        if view is None or view.key != key:
            camera = CameraModel.from_camera_info(info, rectified=rectified)
            view = self._views[name] = _View(key, ground_pixels(camera, pose, self._geometry))
        return view.pixels

    def _message(self, grid: np.ndarray, header: Header) -> OccupancyGrid:
        rows, columns = grid.shape
        info = MapMetaData(resolution=self._geometry.resolution, width=columns, height=rows)
        info.map_load_time = header.stamp
        info.origin.position.x, info.origin.position.y = self._geometry.x[0], self._geometry.y[0]
        message = OccupancyGrid(header=Header(stamp=header.stamp, frame_id=self._frame), info=info)
        message.data = array("b", grid.tobytes())
        return message


def _interval(last: Optional[_Grid], seconds: float) -> float:
    """Seconds between a camera's masks; a stamp that repeats does not change it."""
    if last is None:
        return 0.0
    return seconds - last.stamp if seconds > last.stamp else last.interval


def _chosen(classes: ClassMap, parameters: Parameters, parameter: str, *, default: Sequence[str]) -> List[str]:
    """The classes that a parameter names, else those of the default that the model has."""
    names = [name for name in parameters[parameter] if name]
    missing = [name for name in names if name not in classes.names]
    if missing:
        known = ", ".join(classes.names)
        raise BisenetError(f"parameter {parameter} names {missing[0]!r}, which is no class of the model: {known}")
    return names or [name for name in default if name in classes.names]


def _values(classes: ClassMap, free: Sequence[str], unknown: Sequence[str]) -> np.ndarray:
    """256 int8: the value of each id; what is neither free nor unknown is occupied."""
    both = [name for name in free if name in unknown]
    if both:
        raise BisenetError(
            f"{both[0]!r} is in grid.drivable and in grid.ignored (where none is named: {' or '.join(DRIVABLE)}, and "
            f"{IGNORED[0]}), so that it would be free and unknown; name other classes in one of the two parameters"
        )
    values: Any = np.full(256, UNKNOWN, np.int8)
    values[: len(classes)] = OCCUPIED
    values[[classes.names.index(name) for name in free]] = FREE
    values[[classes.names.index(name) for name in unknown]] = UNKNOWN
    return values
