# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/CameraInfo from a calibration file, or guessed."""

import math
import reprlib
from pathlib import Path
from typing import Any, Tuple

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bisenet_ros.bags.bag_images import TYPES
from bisenet_ros.bags.bag_writer import CAMERA_INFO, make_header
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import Size

MATRICES = {"camera_matrix": (3, 3), "rectification_matrix": (3, 3), "projection_matrix": (3, 4)}


def guess_camera_info(size: Size, *, field_of_view: float) -> Any:
    """The CameraInfo of a pinhole camera without distortion; `field_of_view` is horizontal, in degrees."""
    height, width = size
    focal = width / 2 / math.tan(math.radians(field_of_view) / 2)
    camera = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    projection = np.hstack([camera, np.zeros((3, 1))])
    return _camera_info(size, "plumb_bob", np.zeros(5), camera, np.eye(3), projection)


def read_camera_info(path: Path) -> Any:
    """The CameraInfo in a YAML that ROS's camera_calibration writes; raises BisenetError, OSError."""
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        size, model = (values["image_height"], values["image_width"]), values["distortion_model"]
        if not all(type(side) is int and side > 0 for side in size):
            raise ValueError(f"image_height and image_width must be whole numbers above 0, got {reprlib.repr(size)}")
        if not isinstance(model, str):
            raise ValueError(f"distortion_model must be a text such as plumb_bob, got {reprlib.repr(model)}")
        distortion = _numbers(values, "distortion_coefficients").reshape(-1)
        matrices = [_matrix(values, name, shape) for name, shape in MATRICES.items()]
        return _camera_info(size, model, distortion, *matrices)
    except (YAMLError, TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
        problem = f"it lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise BisenetError(f"expected a calibration of camera_calibration in {path}: {problem}") from error


def _camera_info(size: Size, model: str, d: np.ndarray, k: np.ndarray, r: np.ndarray, p: np.ndarray) -> Any:
    """A sensor_msgs/CameraInfo: distortion model and coefficients, camera, rectification and projection matrix."""
    return TYPES.types[CAMERA_INFO](
        header=make_header(0, ""),
        height=size[0],
        width=size[1],
        distortion_model=model,
        d=d,
        k=k.reshape(-1),
        r=r.reshape(-1),
        p=p.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=TYPES.types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def _numbers(values: Any, name: str) -> np.ndarray:
    data = values[name]["data"]
    if not isinstance(data, list) or not all(type(number) in (int, float) and math.isfinite(number) for number in data):
        raise ValueError(f"{name} must have a list of finite numbers, got {reprlib.repr(data)}")
    return np.array(data, float)


def _matrix(values: Any, name: str, shape: Tuple[int, int]) -> np.ndarray:
    numbers = _numbers(values, name)
    if numbers.size != shape[0] * shape[1]:
        raise ValueError(f"{name} must have {shape[0]} x {shape[1]} numbers, got {numbers.size}")
    return numbers.reshape(shape)
