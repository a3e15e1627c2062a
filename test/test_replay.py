# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bisenet_ros replay.launch.py` of an installed package, with a fake `ros2 bag play` and fake viewers.

The real player and viewers have no wheels.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Set

import pytest
from installed_package import ROS2_LAUNCH, Installation, pip_install
from node_harness import Vehicle
from rcl_interfaces.srv import GetParameters
from ros_domains import new_domain
from sensor_msgs.msg import Image

from bisenet_ros.node.fastdds import profile_variable

DOMAIN = new_domain()
LAUNCH = (*ROS2_LAUNCH, "replay.launch.py")
PACKAGES = ("ros2bag", "rviz2", "rqt_gui", "rqt_image_view", "rqt_runtime_monitor")
PLAYER = """#!{python}
import json, os, sys, time
json.dump({{"argv": sys.argv[1:], "environment": dict(os.environ)}}, open("player.json", "w"))
if os.environ["PLAYER"] == "fails":
    sys.exit(3)
import rclpy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("rosbag2_player")
camera = node.create_publisher(Image, "/camera/image_raw", 1)
clock = node.create_publisher(Clock, "/clock", 1)
message = Image(height=90, width=120, step=360, encoding="bgr8")
message.data.frombytes(bytes(90 * 360))
for second in range(int(os.environ["PLAYER"])):
    message.header.stamp.sec = 1000 + second
    clock.publish(Clock(clock=message.header.stamp))
    camera.publish(message)
    time.sleep(0.1)
"""
BELOW_A_NAMESPACE = """
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch_ros.actions import PushRosNamespace
from bisenet_ros.files.package_share import package_file

def generate_launch_description():
    arguments = {"bag": "bag", "params_file": "cameras.yaml"}
    included = IncludeLaunchDescription(
        str(package_file("launch/replay.launch.py")), launch_arguments=arguments.items()
    )
    return LaunchDescription([GroupAction([PushRosNamespace("robot1"), included])])
"""
VIEWER = """#!{python}
import json, sys, time
configuration = open(sys.argv[2]).read()
json.dump({{"argv": sys.argv, "configuration": configuration}}, open("viewer.json", "w"))
time.sleep(60)
"""


@pytest.fixture(scope="module")
def bare_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return pip_install(tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def installation(bare_installation: Installation) -> Installation:
    """With a bag, a fake player and fake viewers."""
    folder = bare_installation.folder
    index, programs = folder / "others" / "share/ament_index/resource_index/packages", folder / "programs"
    for path in (index, programs, folder / "bag"):
        path.mkdir(parents=True)
    for package in PACKAGES:
        (index / package).touch()
    for name, text in {"ros2": PLAYER, "rviz2": VIEWER, "rqt": VIEWER}.items():
        (programs / name).write_text(text.format(python=sys.executable))
        (programs / name).chmod(0o755)
    environment = dict(bare_installation.environment)
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment["AMENT_PREFIX_PATH"] += f"{os.pathsep}{folder / 'others'}"
    return replace(bare_installation, environment={**environment, "ROS_DOMAIN_ID": str(DOMAIN)})


def start_record(installation: Installation, vehicle: Vehicle, program: str) -> Dict[str, Any]:
    """What a fake program wrote about its start; removed once it is read."""
    path = installation.folder / f"{program}.json"
    vehicle.wait_for(lambda: path.is_file() and path.read_text().endswith("}"), path.name)
    answer = json.loads(path.read_text())
    path.unlink()
    return answer


def test_bag_is_played_with_simulated_time_and_the_launch_ends_with_it(
    installation: Installation, launch_vehicle: Vehicle
) -> None:
    masks: List[Image] = launch_vehicle.listen("/segmentation/mask", Image)
    with installation.start(*LAUNCH, "bag:=bag", "view:=none", PLAYER="40") as launch:
        player = start_record(installation, launch_vehicle, "player")
        launch_vehicle.wait_for(lambda: masks, "a mask")
        request = GetParameters.Request(names=["use_sim_time"])
        answer = launch_vehicle.call(GetParameters, "/segmentation/segmentation_node/get_parameters", request)
        assert answer.values[0].bool_value
        assert launch.wait() == 0
    assert 1000 <= masks[0].header.stamp.sec < 1040
    assert player["argv"] == ("bag play bag --disable-keyboard-controls --clock 200 --delay 1.0 --rate 1.0".split())
    assert player["environment"].get(profile_variable(), "").endswith("config/fastdds_shared_memory.xml")
    assert (
        launch.output.index("playback starts when")
        < launch.output.index("subscribed to")
        < launch.output.index("[player-")
    )


@pytest.mark.parametrize("view", ["rviz", "rqt"])
def test_arguments_and_the_viewers_topics(installation: Installation, launch_vehicle: Vehicle, view: str) -> None:
    arguments = ["bag:=bag", f"view:={view}", "rate:=0.5", "loop:=true", "start_paused:=true", "topics:=/a, /tf"]
    arguments += ["remap:=/a:=/front/image_raw,/b:=/c", "cameras:=front,rear", "namespace:=seg"]
    is_rectified = view == "rqt"
    arguments += ["rectified:=true", "camera_namespace:=/car"] if is_rectified else []
    with installation.start(*LAUNCH, *arguments, PLAYER="300") as launch:
        viewer = start_record(installation, launch_vehicle, "viewer")
        assert (
            start_record(installation, launch_vehicle, "player")["argv"][3:]
            == (
                "--disable-keyboard-controls --clock 200 --delay 1.0 --rate 0.5 --loop --start-paused "
                "--topics /a /tf --remap /a:=/front/image_raw /b:=/c"
            ).split()
        )
        assert launch.interrupt() == 0
    images = "/car/front/image_rect" if is_rectified else "/front/image_raw"
    assert topics_of(viewer) == {images, "/seg/front/overlay", "/seg/front/color_mask"}
    assert viewer["argv"][1] == {"rviz": "--display-config", "rqt": "--perspective-file"}[view]


def test_below_a_namespace_with_cameras_of_a_parameter_file(
    installation: Installation, launch_vehicle: Vehicle
) -> None:
    (installation.folder / "cameras.yaml").write_text("/**: {ros__parameters: {cameras: [front, rear]}}")
    (installation.folder / "robot.launch.py").write_text(BELOW_A_NAMESPACE)
    with installation.start(*ROS2_LAUNCH[:-1], "robot.launch.py", PLAYER="300") as launch:
        viewer = start_record(installation, launch_vehicle, "viewer")
        outputs = {f"/robot1/segmentation/front/{name}" for name in ("overlay", "color_mask")}
        assert topics_of(viewer) == {"/front/image_raw", *outputs}
        player = start_record(installation, launch_vehicle, "player")
        assert player["environment"].get(profile_variable(), "").endswith("config/fastdds_shared_memory.xml")
        assert launch.interrupt() == 0


def topics_of(viewer: Dict[str, Any]) -> Set[str]:
    """The image topics in the configuration that a fake viewer was started with."""
    return set(re.findall(r"/\w+(?:/\w+)*/(?:image_raw|image_rect|overlay|color_mask)", viewer["configuration"]))


def test_failing_player_ends_the_launch_with_an_error(installation: Installation) -> None:
    with installation.start(*LAUNCH, "bag:=bag", "view:=none", PLAYER="fails") as launch:
        assert launch.wait() == 1
        assert "player ended with 3, which ends the replay" in launch.output
        assert re.search(r"segmentation_node-\d+\]: process has finished cleanly", launch.output)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "missing required argument 'bag'"),
        (["bag:=none"], "bag must be a bag's folder or file, got 'none', which does not exist"),
        (["bag:=bag", "rate:=0"], "rate must be a number above 0, got '0'"),
        (["bag:=bag", "remap:=/a=/b"], "remap must be old:=new, several separated by commas, got '/a=/b'"),
    ],
)
def test_invalid_argument_is_an_error_before_anything_starts(
    installation: Installation, arguments: List[str], error: str
) -> None:
    with installation.start(*LAUNCH, *arguments, PLAYER="1") as launch:
        assert launch.wait() == 1
        assert error in launch.output
        assert "process started" not in launch.output


@pytest.mark.parametrize(
    ("view", "error"),
    [
        ("none", "replaying a bag needs ros2bag, which is not installed; `sudo apt install ros-humble-ros2bag`"),
        ("rqt", "view:=rqt needs rqt_image_view, which .* ros-humble-rqt-image-view`, or use view:=none"),
    ],
)
def test_missing_package_is_named_with_the_command_that_installs_it(
    installation: Installation, bare_installation: Installation, tmp_path: Path, view: str, error: str
) -> None:
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package in {"none": (), "rqt": ("ros2bag", "rqt_gui", "rqt_runtime_monitor")}[view]:
        (index / package).touch()
    # Without the developer's own prefixes, which may have all packages.
    prefixes = f"{bare_installation.prefix}{os.pathsep}{tmp_path}"
    arguments = ["bag:=bag", f"view:={view}"]
    with installation.start(*LAUNCH, *arguments, AMENT_PREFIX_PATH=prefixes, ROS_DISTRO="humble") as launch:
        assert launch.wait() == 1
        assert re.search(error, launch.output)
        assert "process started" not in launch.output
