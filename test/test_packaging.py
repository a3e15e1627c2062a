"""pip and colcon really install the package, and what they install is found and starts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
from installed_package import NODE, ROOT, Installation, colcon_build, colcon_test, pip_install
from ros_domains import new_domain

from bisenet_ros.files.package_share import package_file
from bisenet_ros.node import fastdds as dds_profile

DOMAIN = new_domain()
PROFILE = str(ROOT / "config" / "fastdds_shared_memory.xml")
DATA = ["launch/*.launch.py", "config/*", "models/*.onnx"]
LOOKUP = """
import json, bisenet_ros, bisenet_training
from ament_index_python import get_package_prefix, get_package_share_directory
from bisenet_ros.files.package_share import package_file
print(json.dumps({
    "code": [bisenet_ros.__file__, bisenet_training.__file__],
    "prefix": get_package_prefix("bisenet_ros"),
    "share": get_package_share_directory("bisenet_ros"),
    "model": str(package_file("models/bisenetv2_camvid.onnx")),
}))
"""


@pytest.fixture(scope="module")
def pip_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    pytest.importorskip("pip")
    setuptools = tuple(map(int, importlib.metadata.version("setuptools").split(".")[:2]))
    if setuptools < (70, 1) and not importlib.util.find_spec("wheel"):
        pytest.skip("building a wheel without the network needs setuptools 70.1 or the package wheel")
    return pip_install(tmp_path_factory.mktemp("pip"))


@pytest.fixture(scope="module", params=[(), ("--symlink-install",)], ids=["copies", "symlinks"])
def colcon_installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    pytest.importorskip("colcon_core")
    pytest.importorskip("colcon_ros")
    return colcon_build(tmp_path_factory.mktemp("colcon"), *request.param)


@pytest.fixture(scope="module")
def vehicle() -> Iterator[Any]:
    pytest.importorskip("rclpy")
    from node_harness import Vehicle

    vehicle = Vehicle(DOMAIN)
    yield vehicle
    vehicle.close()


def lookup(installation: Installation) -> Dict[str, Any]:
    """What a program of the user's finds through the ament index and through `package_file`."""
    pytest.importorskip("ament_index_python")
    return json.loads(installation.run(sys.executable, "-c", LOOKUP))


def files(folder: Path) -> List[str]:
    return sorted(str(path.relative_to(folder)) for pattern in DATA for path in folder.glob(pattern))


def assert_segments(installation: Installation, vehicle: Any) -> None:
    """The installed node, started with nothing but the environment, answers a camera and ends on SIGINT."""
    from node_harness import camera_image
    from sensor_msgs.msg import Image

    masks = vehicle.listen("/segmentation/mask", Image)
    camera = vehicle.camera("/camera/image_raw")
    with installation.start(str(installation.prefix / NODE), ROS_DOMAIN_ID=str(DOMAIN)) as node:
        camera.connect_any(camera_image(np.zeros((360, 480, 3), np.uint8), "bgr8"), masks)
        assert node.interrupt() == 0
    camera.close()


def test_package_xml_and_setup_py_agree(pip_installation: Installation) -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    site = next(pip_installation.prefix.glob("lib/python3*/*-packages"))
    (installed,) = importlib.metadata.distributions(path=[str(site)])
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert manifest.findtext("name") == installed.metadata["Name"].replace("-", "_")
    assert manifest.findtext("version") == installed.version
    assert manifest.findtext("license") == installed.metadata["License"]
    assert manifest.find("maintainer").get("email") == installed.metadata["Maintainer-email"]
    assert (ROOT / manifest.find("license").get("file")).is_file()


def test_pip_installs_what_the_ament_index_needs(pip_installation: Installation) -> None:
    found = lookup(pip_installation)
    assert found["prefix"] == str(pip_installation.prefix)
    assert files(Path(found["share"])) == files(ROOT)
    assert (Path(found["share"]) / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
    assert found["model"] == str(Path(found["share"]) / "models" / "bisenetv2_camvid.onnx")
    assert all(str(pip_installation.prefix) in path for path in found["code"]), "the lookup saw other code"


def test_pip_puts_the_bisenet_command_on_the_path(pip_installation: Installation) -> None:
    assert "usage: bisenet" in pip_installation.run(str(pip_installation.prefix / "bin" / "bisenet"), "--help")


def test_the_node_of_pip_segments(pip_installation: Installation, vehicle: Any) -> None:
    """What `ros2 run` starts, which hands over to bin/segmentation_node."""
    assert_segments(pip_installation, vehicle)


def test_colcon_installs_what_the_ament_index_needs(colcon_installation: Installation) -> None:
    found = lookup(colcon_installation)
    assert found["prefix"] == str(colcon_installation.prefix)
    assert files(Path(found["share"])) == files(ROOT)
    assert Path(found["model"]).samefile(Path(found["share"]) / "models" / "bisenetv2_camvid.onnx")
    assert all(str(colcon_installation.folder) in path for path in found["code"]), "the lookup saw other code"


def test_the_node_of_colcon_segments(colcon_installation: Installation, vehicle: Any) -> None:
    assert_segments(colcon_installation, vehicle)


def test_colcon_test_runs_pytest(colcon_installation: Installation) -> None:
    assert "3 passed" in colcon_test(colcon_installation, "test/test_evaluation.py")
    with pytest.raises(AssertionError, match="1 failed"):
        failing = colcon_installation.folder / "sources" / "test" / "test_failing.py"
        failing.write_text("def test_failing():\n    assert False\n")
        colcon_test(colcon_installation, "test/test_failing.py")


def test_a_missing_file_is_named_with_the_places_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{os.sep}first{os.pathsep}{os.sep}second")
    with pytest.raises(FileNotFoundError, match=r"models/none\.onnx .*/first/share/.*/second/share/.*pip install"):
        package_file("models/none.onnx")


@pytest.mark.parametrize("name", [*dds_profile.PROFILE_VARIABLES, dds_profile.TRANSPORTS_VARIABLE])
def test_a_dds_choice_of_the_users_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in (*dds_profile.PROFILE_VARIABLES, dds_profile.TRANSPORTS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    assert dds_profile.shared_memory_environment() == dict.fromkeys(dds_profile.PROFILE_VARIABLES, PROFILE)
    monkeypatch.setenv(name, "the user's")
    assert dds_profile.shared_memory_environment() == {}
