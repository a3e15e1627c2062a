# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The package as pip and colcon install it: its files are found, its commands and its node start."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest
from installed_package import NODE, ROOT, Installation, colcon_build, colcon_test, pip_install

import bisenet_ros

DATA = ["launch/*.launch.py", "config/*.*", "config/*/*.yaml", "models/*.onnx"]
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
needs_ros = pytest.mark.skipif(not find_spec("rclpy"), reason="needs rclpy")
PACKAGE_FOLDERS = ("bisenet_ros", "training/bisenet_training")
BUILDS = {"copies": [()], "copies, then symlinks": [(), ("--symlink-install",)]}
"""The options of each `colcon build`."""


@pytest.fixture(scope="module")
def pip_installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    pytest.importorskip("pip")
    setuptools = tuple(map(int, importlib.metadata.version("setuptools").split(".")[:2]))
    if setuptools < (70, 1) and not find_spec("wheel"):
        pytest.skip("building a wheel without the network needs setuptools 70.1 or the package wheel")
    return pip_install(tmp_path_factory.mktemp("pip"))


@pytest.fixture(scope="module", params=BUILDS)
def colcon_installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """What one or more builds of the same workspace leave."""
    pytest.importorskip("colcon_core")
    pytest.importorskip("colcon_ros")
    return colcon_build(tmp_path_factory.mktemp("colcon"), *BUILDS[request.param])


def lookup(installation: Installation) -> Dict[str, Any]:
    """What a program of the user's finds through the ament index and through `package_file`."""
    pytest.importorskip("ament_index_python")
    return json.loads(installation.run(sys.executable, "-c", LOOKUP))


def files(folder: Path) -> List[str]:
    return sorted(str(path.relative_to(folder)) for pattern in DATA for path in folder.glob(pattern))


def assert_segments(installation: Installation, vehicle: Any) -> None:
    """Starts the installed node with nothing but the environment; it answers a camera and ends on SIGINT."""
    from node_harness import DOMAIN, camera_image
    from sensor_msgs.msg import Image

    masks = vehicle.listen("/segmentation/mask", Image)
    camera = vehicle.camera("/camera/image_raw")
    with installation.start(str(installation.prefix / NODE), ROS_DOMAIN_ID=str(DOMAIN)) as node:
        camera.connect_any(camera_image(np.zeros((360, 480, 3), np.uint8), "bgr8"), masks)
        assert node.interrupt() == 0
    camera.close()


def assert_finds_every_command(installation: Installation, bisenet: Path) -> None:
    """`bisenet` lists a command for every file in the folders of commands, and knows its version."""
    printed = installation.run(str(bisenet), "--help")
    files = [path for folder in PACKAGE_FOLDERS for path in (ROOT / folder / "commands").glob("[a-z]*.py")]
    listed = re.findall(r"^  ([a-z][a-z -]*?)  ", printed, re.MULTILINE)
    assert sorted(re.sub("[ -]", "_", name) for name in listed) == sorted(path.stem for path in files)
    assert len(listed) > 10
    assert installation.run(str(bisenet), "--version") == f"bisenet {bisenet_ros.__version__}\n"


def test_package_xml_and_setup_py_agree(pip_installation: Installation) -> None:
    manifest = ElementTree.parse(ROOT / "package.xml").getroot()
    site = next(pip_installation.prefix.glob("lib/python3*/*-packages"))
    (installed,) = importlib.metadata.distributions(path=[str(site)])
    assert manifest.get("format") == "3"
    assert manifest.findtext("export/build_type") == "ament_python"
    assert manifest.findtext("name") == installed.metadata["Name"].replace("-", "_")
    assert manifest.findtext("version") == installed.version == bisenet_ros.__version__
    assert manifest.findtext("license") == installed.metadata["License"]
    assert manifest.findtext("url[@type='website']") == installed.metadata["Home-page"]
    assert manifest.findtext("author") == installed.metadata["Author"]
    assert manifest.find("maintainer").get("email") == installed.metadata["Maintainer-email"]
    assert (ROOT / manifest.find("license").get("file")).is_file()


@pytest.mark.parametrize("image", ["Dockerfile.jetpack4", "Dockerfile.jetpack6"])
def test_images_without_rosdep_install_what_setup_py_requires(pip_installation: Installation, image: str) -> None:
    site = next(pip_installation.prefix.glob("lib/python3*/*-packages"))
    (installed,) = importlib.metadata.distributions(path=[str(site)])
    required = {line for line in installed.requires if "extra ==" not in line}
    (packages,) = re.findall(r"pip install (?:--no-cache-dir )?\\\n(.*numba.*)", (ROOT / "docker" / image).read_text())
    names = set(re.findall(r"(?<!\S)'?([a-z][\w-]*)", packages))
    assert required - names <= {"pyyaml", "setuptools"}, "those two ROS's own packages bring"


def test_the_changelog_has_this_version() -> None:
    headings = re.findall(r"^(\d+\.\d+\.\d+) \(.+\)\n-+$", (ROOT / "CHANGELOG.rst").read_text(), re.MULTILINE)
    assert headings[0] == bisenet_ros.__version__


def test_there_is_no_setup_cfg() -> None:
    """pip of Python 3.8 and 3.9 would put the scripts where its section [install] tells colcon to."""
    assert not (ROOT / "setup.cfg").exists()


def test_pip_installs_what_the_ament_index_needs(pip_installation: Installation) -> None:
    found = lookup(pip_installation)
    assert found["prefix"] == str(pip_installation.prefix)
    assert files(Path(found["share"])) == files(ROOT)
    assert (Path(found["share"]) / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
    assert found["model"] == str(Path(found["share"]) / "models" / "bisenetv2_camvid.onnx")
    assert all(str(pip_installation.prefix) in path for path in found["code"]), "the lookup saw other code"


@pytest.mark.parametrize("folder", PACKAGE_FOLDERS)
def test_pip_installs_every_file_of_the_packages(pip_installation: Installation, folder: str) -> None:
    """Not only Python files: kernels, templates, descriptions of data sets, py.typed."""
    source = ROOT / folder
    site = next(pip_installation.prefix.glob("lib/python3*/*-packages"))
    files = [path for path in source.rglob("*") if path.is_file() and path.parent.name != "__pycache__"]
    missing = [path for path in files if not (site / source.name / path.relative_to(source)).is_file()]
    assert not missing and {".py", ".typed"} < {path.suffix for path in files}


def test_pip_puts_the_bisenet_command_on_the_path(pip_installation: Installation) -> None:
    assert_finds_every_command(pip_installation, pip_installation.prefix / "bin" / "bisenet")


@needs_ros
def test_the_node_of_pip_segments(pip_installation: Installation, vehicle: Any) -> None:
    """Starts what `ros2 run` does, which hands over to bin/segmentation_node."""
    assert_segments(pip_installation, vehicle)


def test_colcon_installs_what_the_ament_index_needs(colcon_installation: Installation) -> None:
    found = lookup(colcon_installation)
    assert found["prefix"] == str(colcon_installation.prefix)
    assert files(Path(found["share"])) == files(ROOT)
    assert Path(found["model"]).samefile(Path(found["share"]) / "models" / "bisenetv2_camvid.onnx")
    assert all(str(colcon_installation.folder) in path for path in found["code"]), "the lookup saw other code"


def test_colcon_installs_the_bisenet_command(colcon_installation: Installation) -> None:
    assert_finds_every_command(colcon_installation, colcon_installation.prefix / "lib" / "bisenet_ros" / "bisenet")


@needs_ros
def test_the_node_of_colcon_segments(colcon_installation: Installation, vehicle: Any) -> None:
    assert_segments(colcon_installation, vehicle)


@pytest.mark.parametrize("colcon_installation", ["copies"], indirect=True)
def test_colcon_test_runs_pytest(colcon_installation: Installation) -> None:
    assert re.search(r"[1-9]\d* passed", colcon_test(colcon_installation, "test/model/test_model_card.py"))
    with pytest.raises(AssertionError, match="1 failed"):
        failing = colcon_installation.folder / "sources" / "test" / "test_failing.py"
        failing.write_text("def test_failing():\n    assert False\n")
        colcon_test(colcon_installation, "test/test_failing.py")
