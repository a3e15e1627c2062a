# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Converts images with ROS's cv_bridge, for encodings that `bisenet_ros.images.encodings` does not support.

A cv_bridge built for another NumPy or OpenCV than the installed one raises or crashes when it is used. So it is first
tried in a process of its own.
"""

import importlib.util
import subprocess
import sys
from functools import lru_cache
from typing import Optional

import numpy as np
from sensor_msgs.msg import Image

from bisenet_ros.errors import ImageError

TRIAL_TIMEOUT = 10.0
"""Seconds; importing ROS and OpenCV takes a few on a slow, busy computer."""
TRIAL = """
from cv_bridge import CvBridge
from sensor_msgs.msg import Image
picture = CvBridge().imgmsg_to_cv2(Image(encoding="rgb8", height=1, width=1, step=3, data=[1, 2, 3]), "bgr8")
if picture.tolist() != [[[3, 2, 1]]]:
    raise SystemExit("it converts incorrectly")
"""


def convert(message: Image) -> np.ndarray:
    """The image as H x W x 3 uint8 BGR; ImageError if cv_bridge cannot. The first call takes about a second."""
    fault = _find_fault()
    if fault is not None:
        raise ImageError("encoding", fault)
    try:
        from cv_bridge import CvBridge

        frame = CvBridge().imgmsg_to_cv2(message, "bgr8")
    except Exception as error:  # cv_bridge and OpenCV raise many types
        raise ImageError("encoding", f"cv_bridge cannot convert it: {str(error)[:200]}") from error
    if frame.shape != (message.height, message.width, 3) or frame.dtype != np.uint8:
        raise ImageError("encoding", f"cv_bridge returns {frame.shape} {frame.dtype}")
    return frame


@lru_cache(maxsize=1)
def _find_fault() -> Optional[str]:
    """What keeps cv_bridge from being used; None when it works."""
    if importlib.util.find_spec("cv_bridge") is None:
        return "cv_bridge, which may support it, is not installed"
    try:
        trial = subprocess.run(
            [sys.executable, "-c", TRIAL], capture_output=True, text=True, errors="replace", timeout=TRIAL_TIMEOUT
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"the installed cv_bridge could not be tried: {error}"
    if trial.returncode == 0:
        return None
    cause = trial.stderr.strip().splitlines()[-1:] or [f"it ended the process with {trial.returncode}"]
    return f"the installed cv_bridge does not work: {cause[0]}"
