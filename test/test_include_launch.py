# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""segment.launch.py included by another launch file, as include_example.launch.py does; skipped without launch.

The camera's driver and image_proc have no wheels: fakes stand for them and write down how they were started.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from installed_package import ROS2_LAUNCH, Installation, failing_once, pip_install
from node_harness import Vehicle, values_of
from ros_domains import new_domain

from bisenet_ros.node.fastdds import profile_variable

DOMAIN = new_domain()
LAUNCH = (*ROS2_LAUNCH, "include_example.launch.py")
FAKES = {"v4l2_camera": "v4l2_camera_node", "image_proc": "rectify_node"}
FAKE = """#!{python}
import json, os, sys, time
json.dump({{"argv": sys.argv[1:], "environment": dict(os.environ)}}, open("{name}.json", "w"))
time.sleep(60)
"""
TWICE = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from bisenet_ros.files.package_share import package_file

def included(namespace):
    arguments = {"namespace": namespace, "autostart": "false"}
    return IncludeLaunchDescription(str(package_file("launch/segment.launch.py")), launch_arguments=arguments.items())

def generate_launch_description():
    return LaunchDescription([GroupAction([included("first")], forwarding=False), included("second")])
"""
"""Includes it in a group of its own and, after that, in the file's scope."""
ROBOTS = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch_ros.actions import PushRosNamespace
from bisenet_ros.files.package_share import package_file

def robot(name):
    included = IncludeLaunchDescription(
        str(package_file("launch/segment.launch.py")), launch_arguments={"autostart": "false"}.items()
    )
    return GroupAction([PushRosNamespace(name), included])

def generate_launch_description():
    return LaunchDescription([robot("robot1"), robot("robot2")])
"""
"""Includes it with the same arguments in two namespaces."""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """With a fake driver and a fake image_proc."""
    bare = pip_install(tmp_path_factory.mktemp("include"))
    others = bare.folder / "others"
    for package, program in FAKES.items():
        index, path = others / "share/ament_index/resource_index/packages" / package, others / "lib" / package / program
        for file in (index, path):
            file.parent.mkdir(parents=True, exist_ok=True)
        index.touch()
        path.write_text(FAKE.format(python=sys.executable, name=program))
        path.chmod(0o755)
    prefixes = f"{bare.environment['AMENT_PREFIX_PATH']}{os.pathsep}{others}"
    return replace(bare, environment={**bare.environment, "AMENT_PREFIX_PATH": prefixes, "ROS_DOMAIN_ID": str(DOMAIN)})


def start_of(installation: Installation, vehicle: Vehicle, program: str) -> Dict[str, Any]:
    """What a fake program wrote about its start."""
    path = installation.folder / f"{program}.json"
    vehicle.wait_for(lambda: path.is_file() and path.read_text().endswith("}"), path.name)
    return json.loads(path.read_text())


def test_the_example_joins_driver_rectification_and_node(installation: Installation, launch_vehicle: Vehicle) -> None:
    with installation.start(*LAUNCH) as launch:
        driver, rectify = (start_of(installation, launch_vehicle, program) for program in FAKES.values())
        assert "__ns:=/front" in driver["argv"]
        assert driver["environment"].get(profile_variable(), "").endswith("fastdds_shared_memory.xml")
        assert {"__ns:=/front", "image:=image_raw"} <= set(rectify["argv"])
        launch_vehicle.wait_for_subscriptions("/front/image_rect", 1)
        node = "/front/segmentation/segmentation_node: camera front"
        launch_vehicle.wait_for_status(node, DiagnosticStatus.WARN, "nobody publishes it")
        assert launch.interrupt() == 0


def test_a_node_is_started_again_with_its_own_arguments(
    installation: Installation, launch_vehicle: Vehicle, tmp_path: Path
) -> None:
    """Neither the group's end nor the second inclusion changes what the first node was started with."""
    (tmp_path / "twice.launch.py").write_text(TWICE)
    with failing_once(installation):
        command = (*ROS2_LAUNCH[:-1], str(tmp_path / "twice.launch.py"))
        with installation.start(*command) as launch:
            for namespace in ("first", "second"):
                assert launch_vehicle.state(f"/{namespace}/segmentation_node") == "unconfigured"
            assert launch.output.count("segmentation_node is started again") == 2
            assert launch.interrupt() == 0


def test_nodes_in_pushed_namespaces_report_their_own_faults_alone(
    installation: Installation, launch_vehicle: Vehicle, tmp_path: Path
) -> None:
    (tmp_path / "robots.launch.py").write_text(ROBOTS)
    with failing_once(installation):
        command = (*ROS2_LAUNCH[:-1], str(tmp_path / "robots.launch.py"))
        with installation.start(*command) as launch:
            for robot in ("robot1", "robot2"):
                node = f"/{robot}/segmentation/segmentation_node: segmentation"
                status = launch_vehicle.wait_for_status(node, DiagnosticStatus.WARN, "started again after a fault")
                assert values_of(status)["restarts"] == "1"
            assert launch.interrupt() == 0
