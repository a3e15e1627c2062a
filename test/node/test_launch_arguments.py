# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the launch files take from their arguments and the parameter file; test_launch.py has the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Dict

import pytest

from bisenet_ros.errors import BisenetError
from bisenet_ros.node.launch_arguments import camera_names, full_namespace, given_parameters, image_topics

ONE_CAMERA = """
/robot1/segmentation/segmentation_node:
  ros__parameters:
    cameras: [windscreen]
"""


def arguments(folder: Path, **changes: str) -> Dict[str, str]:
    """Those of segment.launch.py, with a file for the node /robot1/segmentation/segmentation_node."""
    (folder / "parameters.yaml").write_text(ONE_CAMERA)
    empty = dict.fromkeys(("cameras", "image_topic", "camera_namespace", "rectified"), "")
    return {**empty, "params_file": str(folder / "parameters.yaml"), "namespace": "segmentation", **changes}


@pytest.mark.parametrize(
    "pushed, namespace, expected",
    [
        ("", "segmentation", "/segmentation"),
        ("", "/", "/"),
        ("/robot1", "segmentation", "/robot1/segmentation"),
        ("robot1", "front/segmentation", "/robot1/front/segmentation"),
        ("robot1", "/segmentation", "/segmentation"),
    ],
)
def test_a_namespace_is_below_the_one_that_was_pushed(
    tmp_path: Path, pushed: str, namespace: str, expected: str
) -> None:
    assert full_namespace(arguments(tmp_path, namespace=namespace, ros_namespace=pushed)) == expected


def test_a_camera_whose_images_are_rectified_by_the_file_has_that_topic(tmp_path: Path) -> None:
    given = arguments(tmp_path, cameras="front, rear, left")
    section = "front: {rectified: true}\n    rear.rectified: true\n    left: {rectified: false}"
    (tmp_path / "parameters.yaml").write_text(f"/**:\n  ros__parameters:\n    {section}\n")
    topics = {"front": "/front/image_rect", "rear": "/rear/image_rect", "left": "/left/image_raw"}
    assert image_topics(given) == topics
    assert image_topics({**given, "rectified": "false"}) == {name: f"/{name}/image_raw" for name in topics}
    expected = "or NAME.rectified in params_file, image_topic must be .*, such as /a/image_rect, got '/a/image_raw'"
    with pytest.raises(BisenetError, match=expected):
        image_topics({**given, "cameras": "front", "image_topic": "/a/image_raw"})


def test_the_parameter_file_may_lie_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    given = arguments(tmp_path, ros_namespace="robot1")
    assert camera_names({**given, "params_file": "~/parameters.yaml"}) == ["windscreen"]


@pytest.mark.parametrize(
    "changes, topics",
    [
        ({}, {"camera": "/camera/image_raw"}),
        ({"ros_namespace": "robot1"}, {"windscreen": "/windscreen/image_raw"}),
        ({"ros_namespace": "robot1", "image_topic": "image"}, {"windscreen": "image"}),
        ({"ros_namespace": "robot1", "cameras": "a, b"}, {"a": "/a/image_raw", "b": "/b/image_raw"}),
        ({"camera_namespace": "/car", "rectified": "true"}, {"camera": "/car/camera/image_rect"}),
    ],
)
def test_cameras_are_those_of_the_argument_or_of_the_node_s_section(
    tmp_path: Path, changes: Dict[str, str], topics: Dict[str, str]
) -> None:
    given = arguments(tmp_path, **changes)
    assert camera_names(given) == list(topics) and image_topics(given) == topics


def test_parameters_among_the_arguments_are_found(tmp_path: Path) -> None:
    """Those of the cameras too; `rate` and `front.enabled` are other ones."""
    names = ("max_age", "transport", "grid.x", "windscreen.enabled", "front.enabled", "rate")
    given = arguments(tmp_path, ros_namespace="robot1", **dict.fromkeys(names, "1"))
    assert given_parameters(given) == ["cameras", "transport", "max_age", "grid.x", "windscreen.enabled"]
