# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`ros2 launch bisenet_ros segment.launch.py` of an installed package; skipped where launch is not installed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from installed_package import ROOT, ROS2_LAUNCH, Installation, Process, failing_once, pip_install
from node_harness import Vehicle, camera_image
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from ros_domains import new_domain
from sensor_msgs.msg import Image

from bisenet_ros.node.fastdds import PROFILE_VARIABLES, profile_variable
from bisenet_ros.node.restart import EXIT_CODE

DOMAIN = new_domain()
SHIPPED_MODEL = ROOT / "models" / "bisenetv2_camvid.onnx"
LAUNCH = (*ROS2_LAUNCH, "segment.launch.py")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return pip_install(tmp_path_factory.mktemp("launch"))


@pytest.fixture
def own_model(installation: Installation) -> str:
    """A model in the folder where launch runs; YAML reads its name as a number."""
    shutil.copy(SHIPPED_MODEL, installation.folder / "2024")
    return "2024"


def params_file(folder: Path, **parameters: str) -> Path:
    lines = [f"    {name}: {value}" for name, value in parameters.items()]
    path = folder / "params.yaml"
    path.write_text("\n".join(["/**:", "  ros__parameters:", *lines]) + "\n")
    return path


def wait_for_mask(vehicle: Vehicle, *, camera_topic: str, mask_topic: str) -> None:
    masks: List[Image] = vehicle.listen(mask_topic, Image)
    camera = vehicle.camera(camera_topic)
    camera.connect_any(camera_image(np.zeros((360, 480, 3), np.uint8), "bgr8"), masks)
    camera.close()


def parameters_of(vehicle: Vehicle, node: str, *names: str) -> Dict[str, Any]:
    answer = vehicle.call(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names))
    return dict(zip(names, map(parameter_value_to_python, answer.values)))


def environment_of_node(launch: Process) -> Dict[str, str]:
    (pid,) = re.findall(r"segmentation_node-1\]: process started with pid \[(\d+)\]", launch.output)
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


def assert_ends_cleanly(launch: Process) -> None:
    assert launch.interrupt() == 0
    assert "process has finished cleanly" in launch.output


def test_arguments_have_descriptions(installation: Installation) -> None:
    shown = installation.run(*LAUNCH, "--show-args")
    described = dict(re.findall(r"'(\w+)':\n +(\S.*)\n", shown))
    assert sorted(described) == [
        "autostart",
        "camera_namespace",
        "cameras",
        "class_map",
        "compressed",
        "device",
        "image_topic",
        "log_level",
        "model",
        "namespace",
        "network_size",
        "params_file",
        "precision",
        "rectified",
        "respawn",
        "use_sim_time",
    ]
    assert not [name for name, text in described.items() if text.startswith(("(default", "no description", "Valid"))]


def test_default_arguments(installation: Installation, launch_vehicle: Vehicle) -> None:
    with installation.start(*LAUNCH, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        wait_for_mask(launch_vehicle, camera_topic="/camera/image_raw", mask_topic="/segmentation/mask")
        environment = environment_of_node(launch)
        profile = str(installation.prefix / "share" / "bisenet_ros" / "config" / "fastdds_shared_memory.xml")
        assert {name: environment[name] for name in PROFILE_VARIABLES if name in environment} == {
            profile_variable(): profile
        }
        assert_ends_cleanly(launch)


def test_own_image_topic_model_and_dds_profile(
    installation: Installation, launch_vehicle: Vehicle, own_model: str, tmp_path: Path
) -> None:
    """The argument `model` overrides the file, and the remapped topic is that of the camera in the file."""
    own_profile = shutil.copy(ROOT / "config" / "fastdds_shared_memory.xml", tmp_path / "own.xml")
    parameters = params_file(tmp_path, model=str(SHIPPED_MODEL), reliability="reliable", cameras="[windscreen]")
    arguments = ["namespace:=front", "image_topic:=/front/image", f"model:={own_model}", f"params_file:={parameters}"]
    domain = {"ROS_DOMAIN_ID": str(DOMAIN), PROFILE_VARIABLES[0]: str(own_profile)}
    with installation.start(*LAUNCH, *arguments, **domain) as launch:
        wait_for_mask(launch_vehicle, camera_topic="/front/image", mask_topic="/front/mask")
        environment = environment_of_node(launch)
        assert [environment.get(name) for name in PROFILE_VARIABLES] == [str(own_profile), None]
        expected = {"model": own_model, "reliability": "reliable", "cameras": ["windscreen"]}
        assert parameters_of(launch_vehicle, "/front/segmentation_node", *expected) == expected
        assert_ends_cleanly(launch)


@pytest.mark.parametrize("rectified, name", (("false", "image_raw"), ("true", "image_rect")))
def test_cameras_of_one_of_several_robots(
    installation: Installation, launch_vehicle: Vehicle, rectified: str, name: str
) -> None:
    arguments = ["namespace:=robot1/segmentation", "camera_namespace:=/robot1", f"rectified:={rectified}"]
    with installation.start(*LAUNCH, *arguments, "cameras:=front,rear", ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        for camera in ("front", "rear"):
            image, mask = f"/robot1/{camera}/{name}", f"/robot1/segmentation/{camera}/mask"
            wait_for_mask(launch_vehicle, camera_topic=image, mask_topic=mask)
        assert "there is no parameter" not in launch.output
        assert_ends_cleanly(launch)


def test_arguments_override_the_parameter_file(
    installation: Installation, launch_vehicle: Vehicle, tmp_path: Path
) -> None:
    """Strings that YAML reads as numbers or booleans stay strings."""
    parameters = params_file(tmp_path, cameras="[one]", transport="raw", device="cuda", precision="int8")
    arguments = ["namespace:=/many", f"params_file:={parameters}", "cameras:=on, rear", "compressed:=true"]
    arguments += ["device:=cpu", "precision:=fp32", "network_size:=half", "autostart:=false", "log_level:=debug"]
    arguments += ["use_sim_time:=True"]
    expected = {
        "cameras": ["on", "rear"],
        "transport": "compressed",
        "device": "cpu",
        "precision": "fp32",
        "network_size": "half",
        "autostart": False,
        "use_sim_time": True,
    }
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        assert parameters_of(launch_vehicle, "/many/segmentation_node", *expected) == expected
        assert launch_vehicle.state("/many/segmentation_node") == "unconfigured"
        launch_vehicle.wait_for(lambda: "[DEBUG]" in launch.output, "a debug line")
        assert_ends_cleanly(launch)


def test_rectified_images_are_those_of_image_rect(
    installation: Installation, launch_vehicle: Vehicle, tmp_path: Path
) -> None:
    """Of each camera, with the camera_info beside them; the argument overrides the parameter file."""
    parameters = params_file(tmp_path, **{"left.rectified": "false"})
    arguments = ["namespace:=rect", f"params_file:={parameters}", "cameras:=left,right", "rectified:=true"]
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        expected = {"left.rectified": True, "right.rectified": True}
        for topic in ("/left/image_rect", "/left/camera_info", "/right/image_rect", "/right/camera_info"):
            launch_vehicle.wait_for_subscriptions(topic, 1)
        launch_vehicle.wait_for_subscriptions("/left/image_raw", 0)
        assert parameters_of(launch_vehicle, "/rect/segmentation_node", *expected) == expected
        assert_ends_cleanly(launch)


def test_a_topic_of_rectified_images_is_taken_as_it_is(installation: Installation, launch_vehicle: Vehicle) -> None:
    arguments = ["namespace:=color", "image_topic:=/front/image_rect_color", "rectified:=true"]
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        launch_vehicle.wait_for_subscriptions("/front/image_rect_color", 1)
        assert parameters_of(launch_vehicle, "/color/segmentation_node", "camera.rectified") == {
            "camera.rectified": True
        }
        assert_ends_cleanly(launch)


def test_empty_arguments_keep_the_parameter_file(
    installation: Installation, launch_vehicle: Vehicle, own_model: str, tmp_path: Path
) -> None:
    expected = {"model": own_model, "cameras": ["one", "two"], "transport": "compressed", "autostart": False}
    parameters = params_file(
        tmp_path, model=f'"{own_model}"', cameras="[one, two]", transport="compressed", autostart="false"
    )
    arguments = ["namespace:=file", f"params_file:={parameters}"]
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        assert parameters_of(launch_vehicle, "/file/segmentation_node", *expected) == expected
        assert_ends_cleanly(launch)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["params_file:=/none.yaml"], "params_file must be a YAML file with the node's parameters, got '/none.yaml'"),
        (["params_file:=broken.yaml"], "params_file must be a YAML file .*, got 'broken.yaml': while parsing"),
        (["model:=none.onnx"], "model must be a model file (.onnx), got 'none.onnx', which does not exist"),
        (["cameras:=front,,rear"], "cameras must be different names .*, got 'front,,rear'"),
        (["namespace:=front/"], "namespace must be names .*, got 'front/'"),
        (["image_topic:=/front image"], "image_topic must be names .*, got '/front image'"),
        (["image_topic:=/image/compressed"], "image_topic must be without /compressed, .* compressed:=true"),
        (
            ["image_topic:=image_raw", "rectified:=true"],
            "with rectified:=true, .* image_topic must be .*, such as image_rect, got 'image_raw'",
        ),
        (["image_topic:=/a", "cameras:=left,right"], "image_topic is for one camera, got '/a' and .* left, right"),
        (["image_topic:=/a", "camera_namespace:=robot1"], "image_topic is a whole name, got '/a' and camera_namespace"),
        (
            ["camera_namespace:=robot 1"],
            "camera_namespace must be names (letters, digits, _) joined by /, got 'robot 1'",
        ),
        (["compressed:=maybe"], '"compressed" provided value "maybe" is not valid'),
    ],
)
def test_invalid_argument_is_an_error_of_one_line(installation: Installation, arguments: List[str], error: str) -> None:
    (installation.folder / "broken.yaml").write_text("/**: [")
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        assert launch.wait() == 1
        pattern = re.escape(error).replace(r"\.\*", ".*")
        assert re.search(rf"\[ERROR\].*{pattern}", launch.output)
        assert "process started" not in launch.output


@pytest.fixture
def node_that_fails_once(installation: Installation) -> Iterator[None]:
    """What launch starts ends at first like a node after a GPU fault that needs a new process."""
    with failing_once(installation):
        yield


def test_node_is_started_again_after_a_gpu_fault_and_says_why(
    installation: Installation, launch_vehicle: Vehicle, node_that_fails_once: None
) -> None:
    arguments = ("namespace:=again", "autostart:=false")
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        words = "started again after a fault: the GPU answers CUDA_ERROR_OF_THIS_TEST$"
        launch_vehicle.wait_for_status("/again/segmentation_node: segmentation", DiagnosticStatus.WARN, words)
        assert "segmentation_node is started again in 2 s" in launch.output
        assert_ends_cleanly(launch)


def test_node_is_not_started_again_where_that_is_not_wanted(
    installation: Installation, node_that_fails_once: None
) -> None:
    with installation.start(*LAUNCH, "respawn:=false", ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        launch.wait()
        assert f"exit code {EXIT_CODE}" in launch.output and "started again" not in launch.output


def test_respawn_always_starts_the_node_again_after_any_error(
    installation: Installation, launch_vehicle: Vehicle
) -> None:
    arguments = ("device:=gpu", "respawn:=always")
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        launch_vehicle.wait_for(lambda: launch.output.count("process started with pid") > 1, "the second start")
        assert "segmentation_node is started again in 2 s" in launch.output


def test_invalid_device_is_an_error_of_the_node(installation: Installation) -> None:
    with installation.start(*LAUNCH, "device:=gpu", ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        launch.wait()
        assert re.search(r"\[FATAL\].*parameter device must be one of auto, cpu, cuda, got 'gpu'", launch.output)
        assert "process has died" in launch.output
        assert "has no effect" not in launch.output


def test_a_parameter_that_is_no_argument_is_a_warning(installation: Installation) -> None:
    arguments = ("device:=gpu", "max_age:=0.2", "camera.enabled:=false")
    with installation.start(*LAUNCH, *arguments, ROS_DOMAIN_ID=str(DOMAIN)) as launch:
        launch.wait()
        for given in ("max_age:=0.2", "camera.enabled:=false"):
            assert re.search(rf"\[WARNING\] \[segment.launch.py\]: {re.escape(given)} has no effect", launch.output)
