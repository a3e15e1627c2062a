# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the node share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from sensor_msgs.msg import Image


@pytest.fixture(scope="session")
def image() -> Image:
    """48 x 64 pixels of noise in bgr8."""
    from node_harness import camera_image

    return camera_image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "bgr8")
