# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Parameters from files and while the node runs, including QoS overrides."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, Dict

import pytest
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from fake_node import fake_node
from node_harness import DOMAIN, NODE, OTHER_DOMAIN, FakeEngine, NodeProcess, Vehicle, node_here, values_of
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool

from bisenet_ros.files.package_share import package_file
from bisenet_ros.node.parameter_definitions import DEFINITIONS, SET_BY_NODE, camera_definitions
from bisenet_ros.node.parameters import USER_ERRORS, error_text
from bisenet_ros.node.segmentation_node import UPDATE_PERIOD, SegmentationNode

pytestmark = pytest.mark.timeout(120)

OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
IMAGE_OVERRIDE = "qos_overrides./camera/image_raw.subscription"


def parameter_file(folder: Path, lines: str) -> Path:
    path = folder / "segment.yaml"
    path.write_text("/**:\n  ros__parameters:\n" + "".join(f"    {line}\n" for line in lines.splitlines()))
    return path


# At the start


def error_at_start(*arguments: str) -> str:
    """What the node says of ROS arguments that it cannot start with; its process would end with it."""
    rclpy.init(args=["--ros-args", *arguments], domain_id=OTHER_DOMAIN, signal_handler_options=SignalHandlerOptions.NO)
    try:
        with pytest.raises(USER_ERRORS) as raised:
            SegmentationNode()
        return error_text(raised.value)
    finally:
        rclpy.shutdown()


@pytest.mark.parametrize(
    "argument, expected",
    (
        ("device:=abacus", "parameter device must be one of auto, .*, got 'abacus'"),
        ("cameras:=[front, front]", "parameter cameras must be a list of different names"),
        ("cameras:=front", r"must be a list of .*, got 'front'; a list has brackets: \[front\]$"),
        ("cameras:=[on, off]", r"cameras must be a list of different names .*, got \[True, False\]$"),
        ("cameras:=['front left']", "parameter cameras must be a list of different names"),
        ("max_age:=long", "parameter max_age must be a number from 0 to 3600, got 'long'"),
        ("autostart:=5", "parameter autostart must be true or false, got 5$"),
        ("precision:=fp99", "parameter precision must be one of auto, .*, got 'fp99'"),
        ("reliability:=maybe", "parameter reliability must be one of auto, .*, got 'maybe'"),
        ("model:=5", "parameter model must be a string, got 5$"),
        ("diagnostics_rate:=often", "parameter diagnostics_rate must be a number from 0.1 to 10, got 'often'"),
        ("diagnostics_rate:=100.0", "diagnostics_rate must be a number from 0.1 to 10, got 100.0$"),
    ),
)
def test_an_invalid_value_is_named(argument: str, expected: str) -> None:
    assert re.search(expected, error_at_start("-p", argument))


INVALID_IN_FILES = (
    ("max_age: soon", "parameter max_age must be a number from 0 to 3600, got 'soon'"),
    ("overlay_opacity: true", "parameter overlay_opacity must be a number from 0 to 1, got True"),
    ("cameras: camera", r"cameras must be a list of .*, got 'camera'; a list has brackets: \[camera\]$"),
    ("camera:\n  enabled: 1", "parameter camera.enabled must be true or false, got 1$"),
    ("network_size: big", r"network_size must be card, half, full or WIDTHxHEIGHT \(sides of 32 to .*, got 'big'$"),
    ("network_size: 480", r"network_size must be card, half, full or WIDTHxHEIGHT .*, got 480$"),
    ("model: [a, b]", r"parameter model must be a string, got \['a', 'b'\]$"),
    ("use_sim_time: maybe", "'use_sim_time' to 'maybe' of type 'STRING', expecting type 'BOOL'$"),
    (
        "qos_overrides:\n  /diagnostics:\n    publisher:\n      reliability: sometimes",
        r"could not create the publisher: .*sometimes.*; check .* qos_overrides./diagnostics.publisher.\*,",
    ),
)


@pytest.mark.parametrize("lines, expected", INVALID_IN_FILES)
def test_an_invalid_value_in_a_file_is_named(lines: str, expected: str, tmp_path: Path) -> None:
    assert re.search(expected, error_at_start("--params-file", str(parameter_file(tmp_path, lines))))


@pytest.mark.parametrize("lines, expected", INVALID_IN_FILES[-2:], ids=("clock", "qos"))
def test_an_error_of_ros_ends_the_node_with_one_line(lines: str, expected: str, tmp_path: Path) -> None:
    path = parameter_file(tmp_path, lines)
    with NodeProcess(DOMAIN, "--ros-args", "-r", "__ns:=/file", "--params-file", str(path)) as process:
        assert process.wait() == 1
        (line,) = process.matching(".")
        assert re.search(rf"\[FATAL\] .*{expected}", line), process.output


def test_unknown_parameters_are_warnings(tmp_path: Path, vehicle: Vehicle) -> None:
    lines = "autostart: false\nmax_age: 2\noverlay_opacty: 0.1\ncameras: [front]\nfront:\n  enabled: false\n"
    lines += "class_names: [road, other]\n"  # as `ros2 param dump` writes it
    path = parameter_file(tmp_path, lines + "rear:\n  enabled: false\nqos_overrides:\n  /file/mask:\n    depth: 2")
    override = "qos_overrides./file/mask.publisher"
    given = ("-p", "modell:=x", "-p", f"{override}.depth:=2", "-p", f"{override}.depht:=3")
    with NodeProcess(DOMAIN, "--ros-args", "-r", "__ns:=/file", "--params-file", str(path), *given) as process:
        assert vehicle.state("/file/segmentation_node") == "unconfigured"
        vehicle.wait_for(lambda: len(process.matching("WARN")) >= 5, "the warnings")
        warnings = process.matching("WARN")
        assert len(warnings) == 5, process.output
        for told in (
            "there is no parameter 'overlay_opacty'; did you mean 'overlay_opacity'?",
            "there is no parameter 'modell'; did you mean 'model'?",
            "there is no parameter 'rear.enabled', as there is no camera 'rear' in the parameter cameras",
            "there is no parameter 'qos_overrides./file/mask.depth'; expected qos_overrides.TOPIC.",
            f"there is no parameter '{override}.depht'; expected qos_overrides.TOPIC.",
        ):
            assert any(told in warning for warning in warnings), (told, process.output)


def test_the_shipped_file_has_all_parameters_and_their_defaults() -> None:
    """Those of cameras in a comment: a node with other cameras would warn of them."""
    text = package_file("config/segment.yaml").read_text()
    expected = {definition.name: definition.default for definition in DEFINITIONS if definition.read != SET_BY_NODE}
    assert flat(yaml.safe_load(text)["/**"]["ros__parameters"]) == expected
    comment = text[text.index("    # camera:") :]
    of_camera = yaml.safe_load(comment.replace("\n    # ", "\n").lstrip(" #"))
    assert flat(of_camera) == {definition.name: definition.default for definition in camera_definitions("camera")}


def flat(tree: Dict[str, Any]) -> Dict[str, Any]:
    """The values of a YAML file's tree by the parameters' names, such as grid.x."""
    sections = {key: value for key, value in tree.items() if isinstance(value, dict)}
    nested = {f"{key}.{name}": value for key, section in sections.items() for name, value in section.items()}
    return {**{key: value for key, value in tree.items() if key not in sections}, **nested}


# While it runs


def test_unknown_parameter_is_refused_with_a_suggestion() -> None:
    with fake_node(autostart=False) as (node, vehicle, _):
        for name, meant in (
            ("max_agee", "max_age"),
            ("camera.enabld", "camera.enabled"),
            ("use_sim_tme", "use_sim_time"),
            ("rear.enabld", "camera.enabled"),
        ):
            result = vehicle.set_parameter(name, 1.0)
            assert not result.successful
            assert result.reason == f"there is no parameter {name!r}; did you mean {meant!r}?"
        parameters = [Parameter(name, value=0.5).to_parameter_msg() for name in ("overlay_opacity", "color")]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = vehicle.call(SetParametersAtomically, f"{NODE}/set_parameters_atomically", request).result
        assert not result.successful and result.reason == "there is no parameter 'color'"


def test_a_new_camera_has_its_parameters_at_once() -> None:
    """Some are refused once the node is configured."""
    with fake_node(autostart=False) as (node, vehicle, _):
        assert vehicle.set_parameter("cameras", ["front", "rear"]).successful
        for name, value in (("rear.enabled", False), ("rear.pose", [0.0, 0.0, 1.5, 0.0, 0.0, 0.0])):
            assert vehicle.set_parameter(name, value).successful
        refused = vehicle.set_parameter("left.enabled", False).reason
        told = "there is no parameter '{0}.enabled', as there is no camera '{0}' in the parameter cameras; set that one"
        assert refused == f"{told.format('left')} first"
        assert vehicle.set_parameter("camera.enabled", False).reason == f"{told.format('camera')} first", "any more"
        assert vehicle.transition("configure")
        assert "is read when the node is configured" in vehicle.set_parameter("rear.pose", [0.0]).reason


def test_an_invalid_value_of_a_new_camera_fails_the_configuration() -> None:
    with fake_node("-p", "rear.enabled:=5", autostart=False) as (_, vehicle, _):
        assert vehicle.set_parameter("cameras", ["rear"]).successful
        assert not vehicle.transition("configure")
        words = "could not configure: parameter rear.enabled must be true or false, got 5"
        vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, words)


def test_values_that_the_parameters_have_already_are_accepted_at_any_time() -> None:
    """As of the node's own `ros2 param dump`."""
    with fake_node("-p", "grid.x:=[0.0, 5.0]") as (node, vehicle, _):
        for name in ("model", "cameras", "device", "grid.x"):
            assert vehicle.set_parameter(name, node.get_parameter(name).value).successful, name
        refused = vehicle.set_parameter("grid.x", [0.0, 6.0])
        assert not refused.successful and "is read when the node is configured" in refused.reason


@pytest.mark.parametrize("name", ("model", "cameras", "max_age", "camera.enabled", "device"))
def test_parameter_cannot_be_unset(name: str) -> None:
    with fake_node(autostart=False) as (node, vehicle, _):
        result = vehicle.set_parameter(name, None)
        assert not result.successful and re.search(f"parameter {name} must be .*, got None", result.reason), result
        assert node.has_parameter(name)


def test_publish_rate_takes_effect_at_once(image: Image) -> None:
    with fake_node() as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        camera.connect(image, masks)

        def masks_of(seconds: float) -> int:
            """How many masks come of images at 50 Hz."""
            del masks[:]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                camera.send(image)
                vehicle.spin_until(lambda: False, 0.02)
            return len(masks)

        assert vehicle.set_parameter("publish_rate", 5.0).successful
        assert 3 <= masks_of(1.0) <= 8
        assert vehicle.set_parameter("publish_rate", 0.001).successful
        masks_of(0.1)
        assert masks_of(0.3) == 0
        assert vehicle.set_parameter("publish_rate", 20).successful
        assert masks_of(0.5) >= 5, "the earlier limit no longer holds"
        assert vehicle.set_parameter("publish_rate", 0.0).successful
        vehicle.answer(masks, camera.send(image))
        counts = vehicle.counts()
        assert counts["dropped_rate"] > 10 and counts["dropped_rate"] == counts["dropped"] - counts["dropped_newer"]


def test_max_age_takes_effect_at_once(image: Image) -> None:
    engine = FakeEngine()
    with fake_node("-p", "max_age:=3600.0", engine=engine) as (node, vehicle, _):
        masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")

        def send(age: float) -> Image:
            now = vehicle.node.get_clock().now().nanoseconds - int(age * 1e9)
            image.header.stamp.sec, image.header.stamp.nanosec = divmod(now, 10**9)
            return camera.send_as_it_is(image)

        vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic) == [RELIABLE], "the subscription")
        vehicle.wait_for(lambda: send(0) and vehicle.spin_until(lambda: masks, 0.2), "a mask")
        before = vehicle.counts()
        send(4000)
        vehicle.wait_for(lambda: vehicle.counts()["dropped_stale"] == before["dropped_stale"] + 1, "the drop")
        send(-10)  # the camera's clock is ahead of the node's: not stale
        vehicle.wait_for(lambda: vehicle.counts()["published"] == before["published"] + 1, "its mask")

        assert vehicle.set_parameter("max_age", 0.2).successful
        engine.gate.clear()
        taken = len(engine.batches)
        send(0)
        vehicle.wait_for(lambda: len(engine.batches) > taken, "the engine to take it")
        send(0)  # becomes stale while it waits
        vehicle.spin_until(lambda: False, 0.25)
        engine.gate.set()
        vehicle.wait_for(lambda: vehicle.counts()["dropped_stale"] == before["dropped_stale"] + 2, "the drop")

        assert vehicle.set_parameter("max_age", 0).successful
        seen = len(masks)
        send(1e9)
        vehicle.wait_for(lambda: len(masks) > seen, "the mask of a very old image")


# Quality of service


def qos_of(vehicle: Vehicle, topic: str, what: str) -> QoSProfile:
    found = getattr(vehicle.node, f"get_{what}_info_by_topic")(topic)
    return found[0].qos_profile


def test_qos_overrides_of_topics_that_the_node_has_not_are_told(capfd: pytest.CaptureFixture) -> None:
    given = [f"/segmentation/{name}.publisher.depth" for name in ("mask", "maks")]
    given += [f"/front/{name}.subscription.depth" for name in ("image_raw", "image_raw/compressed", "image")]
    given += ["/camera/image_raw.subscription.reliability", "/tf.subscription.depth"]
    arguments = [it for name in given for it in ("-p", f"qos_overrides.{name}:={2 if 'depth' in name else 'auto'}")]
    with fake_node(*arguments, "-r", "/camera/image_raw:=/front/image_raw"):
        said = capfd.readouterr().err
    told = re.findall(
        r"the parameter 'qos_overrides\.(.*?)' has no effect: there is no such .*?subscription(.*)",
        said,
    )
    assert [name for name, _ in told] == [given[1], given[4], given[5]]
    assert told[0][1] == "; did you mean 'qos_overrides./segmentation/mask.publisher.depth'?"


def test_qos_overrides_of_mask_and_images(image: Image) -> None:
    arguments = ("-p", "qos_overrides./segmentation/mask.publisher.depth:=2")
    arguments += ("-p", "qos_overrides./segmentation/mask.publisher.reliability:=best_effort")
    arguments += ("-p", f"{IMAGE_OVERRIDE}.depth:=7", "-p", f"{IMAGE_OVERRIDE}.reliability:=best_effort")
    with fake_node(*arguments) as (node, vehicle, _):
        (camera,) = node._cameras
        assert camera.subscription.profile.depth == 7  # other processes do not see the depth
        assert camera.outputs._publishers["mask"].qos_profile.depth == 2
        publisher = vehicle.camera("/camera/image_raw", RELIABLE)
        vehicle.wait_for(lambda: vehicle.subscriptions("/camera/image_raw"), "the subscription")
        vehicle.spin_until(lambda: False, 2 * UPDATE_PERIOD)
        assert qos_of(vehicle, "/segmentation/mask", "publishers").reliability == BEST_EFFORT
        assert vehicle.subscriptions("/camera/image_raw") == [BEST_EFFORT], "although reliable is offered"

        name = f"{IMAGE_OVERRIDE}.reliability"
        result = vehicle.set_parameter(name, "sometimes")
        assert not result.successful and f"{name} must be one of default, auto, reliable" in result.reason
        assert vehicle.set_parameter(name, "default").successful
        vehicle.wait_for(lambda: vehicle.subscriptions("/camera/image_raw") == [RELIABLE], "what the camera offers")

        assert vehicle.transition("deactivate") and vehicle.transition("cleanup")
        assert vehicle.set_parameter("reliability", "best_effort").successful
        assert vehicle.transition("configure") and vehicle.transition("activate")
        vehicle.wait_for(lambda: vehicle.subscriptions("/camera/image_raw") == [BEST_EFFORT], "the new reliability")
        (new,) = node._cameras
        assert camera is not new and new.subscription.profile.depth == 7
        publisher.close()


@pytest.mark.parametrize(
    "override, state, expected",
    (
        (
            "/segmentation/mask.publisher.depth:=-1",
            "unconfigured",
            "create the publisher: .*; check .*mask.*",
        ),
        (
            "/segmentation/mask.publisher.history:=some",
            "unconfigured",
            ": .*some.*; check .* qos_overrides.*mask",
        ),
        (
            "/camera/image_raw.subscription.durability:=stone",
            "inactive",
            "create the subscription: .*stone",
        ),
        ("/camera/image_raw.subscription.reliability:=maybe", "inactive", "image_raw.*one of default, auto.*'maybe'"),
    ),
)
def test_invalid_qos_override_fails_the_transition_that_needs_it(override: str, state: str, expected: str) -> None:
    with fake_node("-p", f"qos_overrides.{override}") as (node, vehicle, _):
        status = vehicle.wait_for_status(
            f"{NODE}: segmentation", ERROR, f"could not (activate|configure): .*{expected}"
        )
        assert "\n" not in status.message and len(status.message) < 400
        assert vehicle.state() == state


def test_invalid_qos_override_of_a_later_topic_deactivates_the_node(image: Image) -> None:
    override = "qos_overrides./camera/image_raw/compressed.subscription.depth:=deep"
    with fake_node("-p", override) as (node, vehicle, _):
        masks, raw = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
        raw.connect(image, masks)
        raw.close()
        other = vehicle.camera("/camera/image_raw/compressed", kind=CompressedImage)
        status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "^camera fault: .*compressed.*depth.*deep")
        assert values_of(status)["state"] == "inactive" and "/enable" in status.message
        other.close()
        vehicle.wait_for(lambda: not vehicle.node.get_publishers_info_by_topic(other.topic), "the driver to go")
        assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
        vehicle.camera("/camera/image_raw").connect(image, masks)


def test_a_camera_fault_is_told_with_what_helps_a_camera() -> None:
    override = f"{IMAGE_OVERRIDE}.reliability:=bogus"
    with fake_node("-p", "camera.enabled:=false", "-p", override) as (_, vehicle, _):
        vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")
        assert vehicle.set_parameter("camera.enabled", True).successful
        status = vehicle.wait_for_status(f"{NODE}: segmentation", ERROR, "^camera fault: .*got 'bogus'")
        remedy = "correct what the error names and start the node again, or first set camera.enabled to false"
        assert remedy in status.message and "engine" not in status.message
        assert vehicle.set_parameter("camera.enabled", False).successful
        assert vehicle.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
        vehicle.wait_for_status(f"{NODE}: segmentation", OK, "^running$")


def test_paths_may_begin_with_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/robot")
    found: Dict[str, Any] = {}

    def load(model: Path, **options: Any) -> FakeEngine:
        found.update(model=model, **options)
        return FakeEngine()

    arguments = ("-p", "model:=~/m.onnx", "-p", "class_map:=~/c.yaml", "-p", "plan_cache:=~/plans")
    with node_here(*arguments, load=load):
        paths = [found[name] for name in ("model", "class_map", "cache")]
    assert paths == [Path("/home/robot", name) for name in ("m.onnx", "c.yaml", "plans")]
