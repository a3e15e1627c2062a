"""sensor_msgs/CameraInfo from a calibration file, or guessed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Tuple

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bisenet_ros.bags.bag_images import TYPES
from bisenet_ros.bags.bag_writer import CAMERA_INFO, make_header
from bisenet_ros.errors import BisenetError

MATRICES = {"camera_matrix": (3, 3), "rectification_matrix": (3, 3), "projection_matrix": (3, 4)}


class CalibrationError(BisenetError):
    """A file that is no calibration; the message names what is wrong."""


@dataclass(frozen=True)
class Calibration:
    """A camera's calibration, in the terms of sensor_msgs/CameraInfo.

    Attributes:
        size: (height, width) in pixels.
        distortion: float64 coefficients of the model.
        camera, rectification, projection: float64, 3 x 3, 3 x 3 and 3 x 4.
    """

    size: Tuple[int, int]
    distortion_model: str
    distortion: np.ndarray
    camera: np.ndarray
    rectification: np.ndarray
    projection: np.ndarray

    def message(self, *, stamp_ns: int, frame_id: str) -> Any:
        """A sensor_msgs/CameraInfo of rosbags' types."""
        return TYPES.types[CAMERA_INFO](
            header=make_header(stamp_ns, frame_id),
            height=self.size[0],
            width=self.size[1],
            distortion_model=self.distortion_model,
            d=self.distortion,
            k=self.camera.reshape(-1),
            r=self.rectification.reshape(-1),
            p=self.projection.reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=TYPES.types["sensor_msgs/msg/RegionOfInterest"](
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )


def guess_calibration(size: Tuple[int, int], *, field_of_view: float) -> Calibration:
    """A pinhole camera of (height, width) that looks straight ahead and distorts nothing.

    Args:
        field_of_view: horizontal, in degrees.
    """
    height, width = size
    focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    projection = np.hstack([camera, np.zeros((3, 1))])
    return Calibration(size, "plumb_bob", np.zeros(5), camera, np.eye(3), projection)


def read_calibration(path: Path) -> Calibration:
    """Reads the YAML that ROS's camera_calibration writes.

    Raises:
        CalibrationError: it is none. OSError: it cannot be read.
    """
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        camera, rectification, projection = (_matrix(values, name, shape) for name, shape in MATRICES.items())
        return Calibration(
            size=(int(values["image_height"]), int(values["image_width"])),
            distortion_model=str(values["distortion_model"]),
            distortion=np.array(values["distortion_coefficients"]["data"], float).reshape(-1),
            camera=camera,
            rectification=rectification,
            projection=projection,
        )
    except (YAMLError, TypeError, ValueError, KeyError) as error:
        problem = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise CalibrationError(f"expected a calibration of camera_calibration in {path}: {problem}") from error


def _matrix(values: Any, name: str, shape: Tuple[int, int]) -> np.ndarray:
    numbers = np.array(values[name]["data"], float)
    if numbers.size != shape[0] * shape[1]:
        raise ValueError(f"{name} must have {shape[0]} x {shape[1]} numbers, got {numbers.size}")
    return numbers.reshape(shape)
