# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Camera names and the topics that follow from them."""

from __future__ import annotations

from typing import Any

import pytest

from bisenet_ros.node.camera_topics import (
    are_camera_names,
    camera_info_topic,
    compressed_topic,
    image_topic,
    output_prefix,
)


@pytest.mark.parametrize("names", (["camera"], ["front", "rear_2", "Left"], ["on", "off"]))
def test_valid_camera_names(names: Any) -> None:
    assert are_camera_names(names)


@pytest.mark.parametrize(
    "names", ([], "camera", None, ["front", "front"], ["2nd"], ["_front"], ["front left"], ["a/b"], [""], [True], ["ü"])
)
def test_invalid_camera_names(names: Any) -> None:
    assert not are_camera_names(names)


def test_topics_of_a_camera() -> None:
    assert image_topic("front") == "/front/image_raw"
    assert compressed_topic("/front/image_raw") == "/front/image_raw/compressed"
    assert camera_info_topic("/front/wide/image") == "/front/wide/camera_info"


def test_output_topics_have_the_cameras_name_only_if_there_are_several() -> None:
    assert output_prefix("front", ["front"]) == ""
    assert output_prefix("front", ["front", "rear"]) == "front/"
