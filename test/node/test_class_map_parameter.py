# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's parameter `class_map`: what the topics hold with a model's classes merged into groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import NODE, camera_image, node_here, to_array
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.engines import load_engine
from bisenet_ros.images.colors import blend
from bisenet_ros.model.class_map import IGNORE
from demo.clip import frame_ids, read_image

CLASS_MAP = Path(__file__).parents[2] / "config" / "class_maps" / "nav2_costs.yaml"
NAMES = ["free", "rough", "static_obstacle", "moving_obstacle"]


def test_every_topic_has_the_groups(shipped_model: Path) -> None:
    arguments = ("-p", "device:=cpu", "-p", "precision:=fp32", "-p", f"class_map:={CLASS_MAP}")
    frame = read_image(frame_ids()[0])
    with node_here(*arguments, load=load_engine) as (node, vehicle):
        topics = {
            name: vehicle.listen(f"/segmentation/{name}", Image)
            for name in ("mask", "confidence", "color_mask", "overlay")
        }
        camera = vehicle.camera("/camera/image_raw")
        for messages in topics.values():
            camera.connect(camera_image(frame, "bgr8"), messages)
        sent = camera.send(camera_image(frame, "bgr8"))
        mask, confidence, color_mask, overlay = (to_array(vehicle.answer(it, sent)) for it in topics.values())
        assert node.get_parameter("class_names").value == NAMES

    engine = load_engine(shipped_model, device="cpu", precision="fp32", class_map=CLASS_MAP)
    expected, certain = engine.segment(frame, confidence=True)
    assert set(np.unique(expected)) == {0, 2, 3, IGNORE}
    colors = engine.classes.color_table()
    np.testing.assert_array_equal(mask[:, :, 0], expected)
    np.testing.assert_array_equal(confidence[:, :, 0], certain)
    np.testing.assert_array_equal(color_mask, colors[expected])
    np.testing.assert_array_equal(overlay, blend(frame, expected, colors, opacity=0.5))


def test_a_class_map_that_cannot_be_used_is_told_and_can_be_corrected(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("classes: [{name: a, color: [1, 2, 3], of: [lawn]}]")
    with node_here("-p", "device:=cpu", "-p", f"class_map:={wrong}", load=load_engine) as (node, vehicle):
        told = f"^could not configure: {wrong}: the model has no class 'lawn', which group 'a' is of"
        vehicle.wait_for_status(f"{NODE}: segmentation", DiagnosticStatus.ERROR, told)
        wrong.write_text("classes: [{name: a, color: [1, 2, 3], of: [road]}]")
        assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
        assert node.get_parameter("class_names").value == ["a"]
