# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""An example of a launch file that includes segment.launch.py: a camera's driver, its rectification, and the node.

Copy it into your own package and replace the driver. It needs the ROS packages v4l2_camera and image_proc.
"""

from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

CAMERA = "front"


def generate_launch_description() -> LaunchDescription:
    segment = PathJoinSubstitution([FindPackageShare("bisenet_ros"), "launch", "segment.launch.py"])
    segmentation = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(segment),
        launch_arguments={
            "cameras": CAMERA,
            "rectified": "true",  # /front/image_rect, which rectify publishes
            "namespace": f"{CAMERA}/segmentation",
            "device": "cpu",
        }.items(),
    )
    driver = Node(package="v4l2_camera", executable="v4l2_camera_node", namespace=CAMERA)
    rectify = Node(
        package="image_proc", executable="rectify_node", namespace=CAMERA, remappings=[("image", "image_raw")]
    )
    # The included file sets the Fast DDS profile for what comes after it in the group, so also for the driver.
    # Without forwarding, no argument of this file is passed on only because segment.launch.py has one of that name.
    return LaunchDescription([GroupAction([segmentation, driver, rectify], forwarding=False)])
