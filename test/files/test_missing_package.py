# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is advised where a Python package is missing."""

import pytest

from bisenet_ros.files.missing_package import how_to_install


@pytest.mark.parametrize(
    "distribution, module, extra, advice",
    [
        ("", "mcap.reader", "evaluation", "install what it needs with `pip install '.[evaluation]'` in the checkout"),
        ("", "cv2", "", "install what it needs with `pip install .` in the checkout"),
        ("lyrical", "mcap.reader", "evaluation", "install it with `pip install mcap`"),
        ("jazzy", "psutil", "ros,benchmark", "install it with `pip install psutil 'numpy<2'`"),
        ("humble", "cv2", "", "install it with `pip install opencv-python-headless 'numpy<2'`"),
        (
            "humble",
            "rclpy",
            "ros",
            "source your ROS 2 (`source /opt/ros/jazzy/setup.bash`), or install its wheels with",
        ),
    ],
)
def test_in_a_ros_workspace_nothing_is_advised_that_replaces_what_ros_needs(
    monkeypatch, distribution, module, extra, advice
):
    monkeypatch.setenv("ROS_DISTRO", distribution)
    assert how_to_install(module, extra=extra).startswith(advice)
