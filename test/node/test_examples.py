# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The examples for Nav2 and Foxglove against what the node publishes; neither program runs here.

What Nav2 expects was read in its sources: navigation2 1.3.13 (Jazzy) and 1.5.1 (Lyrical), and the package
semantic_segmentation_layer as of May 2026.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List

import numpy as np
import pytest
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from fake_node import fake_node
from nav_msgs.msg import OccupancyGrid
from node_harness import NODE, Vehicle
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from street_camera import POSE, camera_info, street

from bisenet_ros.model.class_groups import read_class_groups
from bisenet_ros.node.label_info import LabelInfo, latched_profile
from bisenet_ros.node.qos import mismatch

pytestmark = pytest.mark.timeout(60)

CONFIG = Path(__file__).parents[2] / "config"
VOLATILE = QoSProfile(depth=10)
LATCHED_SUBSCRIPTION = QoSProfile(depth=5, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LETHAL, UNKNOWN = 100, 255
"""Nav2's lethal_cost_threshold and unknown_cost_value, by default."""
COSTMAP = {
    "global_frame": str,
    "robot_base_frame": str,
    "rolling_window": bool,
    "width": int,
    "height": int,
    "resolution": float,
    "robot_radius": float,
    "track_unknown_space": bool,
    "use_maximum": bool,
    "plugins": list,
}
"""Nav2's parameters of a costmap that the examples set, with their types; a parameter of another type ends Nav2."""
LAYERS: Dict[str, Dict[str, type]] = {
    "nav2_costmap_2d::StaticLayer": {
        "plugin": str,
        "enabled": bool,
        "map_topic": str,
        "map_subscribe_transient_local": bool,
        "subscribe_to_updates": bool,
    },
    "nav2_costmap_2d::InflationLayer": {"plugin": str, "cost_scaling_factor": float, "inflation_radius": float},
    "semantic_segmentation_layer::SemanticSegmentationLayer": {
        "plugin": str,
        "enabled": bool,
        "observation_sources": str,
        "camera": dict,
    },
}
SOURCE = {
    "segmentation_topic": str,
    "confidence_topic": str,
    "labels_topic": str,
    "pointcloud_topic": str,
    "min_obstacle_distance": float,
    "max_obstacle_distance": float,
    "tile_map_decay_time": float,
    "use_cost_selection": bool,
    "class_types": list,
}
CLASS_TYPE = {
    "classes": list,
    "base_cost": int,
    "max_cost": int,
    "mark_confidence": int,
    "samples_to_max_cost": int,
    "dominant_priority": bool,
}


def costmap(example: str) -> Dict[str, Any]:
    """The parameters of the local costmap, whose names and types, and those of its layers, are Nav2's."""
    found = yaml.safe_load((CONFIG / "nav2" / example).read_text())["local_costmap"]["local_costmap"]["ros__parameters"]
    assert_types({name: value for name, value in found.items() if name not in found["plugins"]}, COSTMAP)
    for name in found["plugins"]:
        assert_types(found[name], LAYERS[found[name]["plugin"]])
    return found


def assert_types(parameters: Dict[str, Any], types: Dict[str, type]) -> None:
    assert {name: type(value) for name, value in parameters.items()} == {name: types[name] for name in parameters}


def assert_published(vehicle: Vehicle, topic: str, kind: Any, wanted: QoSProfile) -> None:
    """One publisher, of this type, whose messages a subscription with this quality of service gets."""
    vehicle.wait_for(lambda: len(vehicle.node.get_publishers_info_by_topic(topic)) == 1, topic)
    (publisher,) = vehicle.node.get_publishers_info_by_topic(topic)
    package, name = kind.__module__.split(".")[0], kind.__name__
    assert publisher.topic_type == f"{package}/msg/{name}"
    assert not mismatch(publisher.qos_profile, wanted)


def test_the_semantic_segmentation_layer_reads_what_the_node_publishes() -> None:
    layer = costmap("semantic_segmentation_layer.yaml")["semantic_segmentation_layer"]
    (source,) = layer["observation_sources"].split()
    camera = layer[source]
    with fake_node() as (_, vehicle, _):
        for topic in ("segmentation_topic", "confidence_topic"):
            assert_published(vehicle, camera[topic], Image, qos_profile_sensor_data)
        if LabelInfo:
            assert_published(vehicle, camera["labels_topic"], LabelInfo, LATCHED_SUBSCRIPTION)
        masks, sender = vehicle.listen(camera["segmentation_topic"], Image), vehicle.camera("/camera/image_raw")
        sender.connect(street(), masks)
        # The layer reads width x height bytes, and compares their number with that of the cloud's points.
        mask = masks[-1]
        assert (mask.encoding, mask.step, len(mask.data)) == ("mono8", mask.width, mask.width * mask.height)
    assert not mismatch(latched_profile(), LATCHED_SUBSCRIPTION)
    assert camera["labels_topic"] == camera["segmentation_topic"].replace("mask", "label_info")


def test_the_semantic_segmentation_layer_has_a_cost_for_every_class_of_the_class_map() -> None:
    camera = costmap("semantic_segmentation_layer.yaml")["semantic_segmentation_layer"]["camera"]
    types = {name: camera[name] for name in camera["class_types"]}
    assert_types({name: value for name, value in camera.items() if name not in types}, SOURCE)
    for parameters in types.values():
        assert_types(parameters, CLASS_TYPE)
        assert 0 <= parameters["base_cost"] <= parameters["max_cost"] <= 254
        assert 0 <= parameters.get("mark_confidence", 0) < 255
    named = [name for parameters in types.values() for name in parameters["classes"]]
    assert sorted(named) == sorted(read_class_groups(CONFIG / "class_maps" / "nav2_costs.yaml").groups.names)


def test_the_ground_grid_is_a_map_for_nav2s_static_layer() -> None:
    example = CONFIG / "nav2" / "ground_grid.yaml"
    local, layer = costmap(example.name), costmap(example.name)["ground_grid_layer"]
    wanted = LATCHED_SUBSCRIPTION if layer["map_subscribe_transient_local"] else VOLATILE
    arguments = ("--params-file", str(example), "-p", f"camera.pose:={POSE}")
    with fake_node(*arguments) as (_, vehicle, _):
        assert_published(vehicle, layer["map_topic"], OccupancyGrid, wanted)
        (publisher,) = vehicle.node.get_publishers_info_by_topic(layer["map_topic"])
        assert mismatch(publisher.qos_profile, LATCHED_SUBSCRIPTION), "the file says that nothing arrives then"
        grids: List[OccupancyGrid] = vehicle.listen(layer["map_topic"], OccupancyGrid)
        camera, infos = vehicle.camera("/camera/image_raw"), vehicle.camera("/camera/camera_info", kind=CameraInfo)
        vehicle.wait_for(lambda: infos.send(camera_info()) and camera.send(street()) and grids, "a grid")
        info, cells = grids[-1].info, np.frombuffer(grids[-1].data, np.uint8)
    assert grids[-1].header.frame_id == local["robot_base_frame"]
    assert info.resolution == pytest.approx(local["resolution"])
    assert -local["width"] / 2 <= info.origin.position.x < info.origin.position.x + info.width * info.resolution
    assert info.origin.position.x + info.width * info.resolution <= local["width"] / 2 + 1e-5
    assert abs(info.origin.position.y) <= local["height"] / 2
    # Nav2 refuses a map whose orientation is no rotation, or whose data has another length.
    assert (info.origin.orientation.w, len(cells)) == (1.0, info.width * info.height)
    assert set(np.unique(cells)) == {0, LETHAL, UNKNOWN}


def panels(layout: Any) -> Iterator[str]:
    """The ids of the panels in a node of Foxglove's layout tree."""
    if isinstance(layout, str):
        yield layout
        return
    assert layout["direction"] in ("row", "column") and 0 < layout.get("splitPercentage", 50) < 100
    yield from panels(layout["first"])
    yield from panels(layout["second"])


def test_the_foxglove_layout_shows_topics_of_the_node() -> None:
    content = json.loads((CONFIG / "segment.foxglove.json").read_text())
    configurations = content["configById"]
    assert sorted(panels(content["layout"])) == sorted(configurations)
    images = {panel: settings["imageMode"] for panel, settings in configurations.items() if panel.startswith("Image!")}
    camera, grid = images.pop("Image!camera"), configurations["3D!grid"]
    with fake_node() as (_, vehicle, _):
        vehicle.wait_for_subscriptions(camera["imageTopic"], 1)
        vehicle.wait_for_subscriptions(camera["calibrationTopic"], 1)
        for image in images.values():
            assert_published(vehicle, image["imageTopic"], CompressedImage, qos_profile_sensor_data)
        (topic,) = grid["topics"]
        assert_published(vehicle, topic, OccupancyGrid, VOLATILE)
        assert (
            grid["followTf"]
            == vehicle.call(GetParameters, f"{NODE}/get_parameters", GetParameters.Request(names=["grid.frame"]))
            .values[0]
            .string_value
        )
        assert_published(
            vehicle, configurations["DiagnosticSummary!status"]["topicToRender"], DiagnosticArray, VOLATILE
        )
