# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameter files are read as ROS reads them: what is another node's is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest
import rclpy
from rclpy.context import Context

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.parameter_file import read_parameter_file

KEYS = {
    "/**": True,
    "/segmentation/segmentation_node": True,
    "segmentation/segmentation_node": True,
    "/*/segmentation_node": True,
    "/**/segmentation_node": True,
    "/segmentation/*": True,
    "segmentation_node": False,
    "/*": False,
    "/robot1/segmentation/segmentation_node": False,
    "/segmentation/segmentation": False,
    "/segmentation/segmentation_node_2": False,
}


def by_ros(path: Path, parameter: str) -> bool:
    """Whether the real node of that name has the parameter."""
    context = Context()
    rclpy.init(args=["--ros-args", "--params-file", str(path)], context=context)
    options: Dict[str, Any] = {"automatically_declare_parameters_from_overrides": True, "enable_rosout": False}
    node = rclpy.create_node("segmentation_node", namespace="segmentation", context=context, **options)
    found = node.has_parameter(parameter)
    node.destroy_node()
    rclpy.shutdown(context=context)
    return found


@pytest.mark.parametrize("key, is_own", KEYS.items())
def test_sections_are_taken_as_ros_takes_them(tmp_path, key: str, is_own: bool):
    path = tmp_path / "parameters.yaml"
    path.write_text(f"{key}:\n  ros__parameters:\n    max_age: 1.0\n")
    found = read_parameter_file(str(path), "/segmentation/segmentation_node")
    assert found == ({"max_age": 1.0} if is_own else {}) and by_ros(path, "max_age") == is_own


def test_namespaces_may_be_keys_of_their_own(tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(
        "robot1: {segmentation_node: {ros__parameters: {cameras: [front]}}}\n"
        "robot2: {segmentation_node: {ros__parameters: {cameras: [left, right]}}}\n"
    )
    assert read_parameter_file(str(path), "/robot1/segmentation_node") == {"cameras": ["front"]}
    assert read_parameter_file(str(path), "/robot3/segmentation_node") == {}


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(BisenetError, match="params_file must be a YAML file .* got .*broken.yaml': while parsing"):
        read_parameter_file(str(tmp_path / "broken.yaml"), "/node")
    (tmp_path / "broken.yaml").write_text("a: 2020-13-45")
    with pytest.raises(BisenetError, match="params_file must be a YAML file .* got .*broken.yaml': month must be in"):
        read_parameter_file(str(tmp_path / "broken.yaml"), "/node")
    with pytest.raises(
        FileNotFoundError, match="params_file must be a YAML file with the node's parameters, got '/none"
    ):
        read_parameter_file("/none.yaml", "/node")
