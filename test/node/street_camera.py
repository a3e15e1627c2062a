# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A calibrated camera that looks along a street, for the tests of what is made of its masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from camvid_classes import CAMVID
from node_harness import camera_image
from sensor_msgs.msg import CameraInfo, Image

HEIGHT, WIDTH, FOCAL = 96, 128, 100.0
ROAD, SKY, CAR = (CAMVID.names.index(name) for name in ("road", "sky", "car"))
POSE = f"[0.0, 0.0, 1.5, {-math.pi / 2 - 0.2}, 0.0, {-math.pi / 2}]"


def camera_info(**changes: Any) -> CameraInfo:
    info = CameraInfo(height=HEIGHT, width=WIDTH, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [FOCAL, 0.0, WIDTH / 2, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 1.0]
    info.p = [FOCAL, 0.0, WIDTH / 2, 0.0, 0.0, FOCAL, HEIGHT / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in changes.items():
        setattr(info, name, value)
    return info


def street() -> Image:
    """The fake engine's mask is the first channel: sky above, road below, and a car on the right."""
    mask = np.full((HEIGHT, WIDTH, 3), ROAD, np.uint8)
    mask[: HEIGHT // 4] = SKY
    mask[:, 3 * WIDTH // 4 :] = CAR
    return camera_image(mask, "bgr8")
