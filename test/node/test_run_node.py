# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's process: errors at the start, signals, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import DOMAIN, NodeProcess, Vehicle, camera_image, values_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.node.restart import EXIT_CODE, FAULT_LOG, fault_log
from demo.clip import frame_ids, read_image

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("vehicle")]

MODEL = package_file(SHIPPED_MODEL)
ERROR = DiagnosticStatus.ERROR


# Errors at the start


def weights_missing(folder: Path) -> Path:
    path = folder / "no_weights.onnx"
    model = onnx.load(MODEL)
    del model.graph.initializer[:]
    onnx.save(model, path)
    return path


def test_an_unusable_model_leaves_the_node_unconfigured_until_it_is_replaced(tmp_path: Path, vehicle: Vehicle) -> None:
    node, topic, missing = "/unusable/segmentation_node", "/unusable/image", tmp_path / "missing.onnx"
    arguments = ("-r", "__ns:=/unusable", "-r", f"/camera/image_raw:={topic}", "-p", f"model:={missing}")
    masks = vehicle.listen("/unusable/mask", Image)
    with NodeProcess(DOMAIN, "--ros-args", *arguments) as process:

        def refuses(reason: str) -> bool:
            words = f"could not configure: .*{reason}"
            status = vehicle.wait_for_status(f"{node}: segmentation", DiagnosticStatus.ERROR, words)
            return "\n" not in status.message and vehicle.state(node) == "unconfigured"

        assert refuses(f"expected a model file at {missing}, found none; give the path of an .onnx file")
        assert vehicle.set_parameter("model", str(weights_missing(tmp_path)), node).successful
        assert not vehicle.call(SetBool, f"{node}/enable", SetBool.Request(data=True)).success
        assert refuses("no_weights.onnx cannot be run: ")
        vehicle.wait_for(lambda: len(process.matching("ERROR")) == 2, "the log lines")
        assert vehicle.set_parameter("model", "", node).successful
        answer = vehicle.call(SetBool, f"{node}/enable", SetBool.Request(data=True))
        assert answer.success and vehicle.state(node) == "active", answer
        camera = vehicle.camera(topic)
        camera.connect(camera_image(read_image(frame_ids()[0]), "bgr8"), masks)
        camera.close()
        assert len(process.matching("ERROR")) == 2 and not process.matching("Traceback"), process.output


def test_malformed_ros_argument_ends_the_node_without_a_traceback() -> None:
    with NodeProcess(DOMAIN, "--ros-args", "-p", "camera.pose:=[0, 1.5]") as process:
        assert process.wait() == 1
        told = r"\[FATAL\] .*camera.pose:=\[0, 1.5\].*; write all numbers of a list with a decimal point"
        assert process.matching(told) and not process.matching("Traceback"), process.output


# Shutdown


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
def test_signal_while_images_arrive(number: signal.Signals, vehicle: Vehicle) -> None:
    namespace = f"/{number.name.lower()}"
    masks = vehicle.listen(f"{namespace}/mask", Image)
    arguments = ("-r", f"/camera/image_raw:={namespace}/image", "-r", f"__ns:={namespace}")
    image = camera_image(read_image(frame_ids()[0]), "bgr8")
    with NodeProcess(DOMAIN, "--ros-args", *arguments) as process:
        camera = vehicle.camera(f"{namespace}/image")
        camera.connect(image, masks)
        for _ in range(10):  # so that the engine is busy and a frame waits
            camera.send(image)
        process.send(number)
        if number == signal.SIGINT:  # as from an impatient user, or from launch in addition to the terminal
            while process.is_running():
                vehicle.spin_until(lambda: False, 0.02)
                process.send(number)
        assert process.wait() == 0, process.output
        assert not process.matching("Traceback|ERROR|FATAL"), process.output
        camera.close()


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
def test_signal_while_the_model_is_loaded(number: signal.Signals, tmp_path: Path, vehicle: Vehicle) -> None:
    # The node blocks while it reads its model from a pipe, so that the signal comes then. Afterwards the pipe's name is
    # that of the model itself: SIGTERM does not interrupt Python, and the node continues to load it.
    path, writer = tmp_path / "model.onnx", tmp_path / "writer"
    os.mkfifo(path)
    os.link(path, writer)

    def open_writer() -> int:
        try:
            return os.open(writer, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            return 0

    with NodeProcess(DOMAIN, "--ros-args", "-r", "__ns:=/starting", "-p", f"model:={path}") as process:
        pipe = vehicle.wait_for(open_writer, "the node to open its model")
        os.set_blocking(pipe, True)
        (tmp_path / "copy.onnx").write_bytes(MODEL.read_bytes())
        os.replace(tmp_path / "copy.onnx", path)
        process.send(number)
        try:
            with open(pipe, "wb") as stream:
                stream.write(MODEL.read_bytes())
        except BrokenPipeError:  # SIGINT ended the node at once
            pass
        assert process.wait() == 0, process.output
        # From Kilted on rclpy says that it could not publish the new state, as ROS is shut down.
        errors = [line for line in process.matching("ERROR|FATAL") if "Failed to complete transition 1" not in line]
        assert not errors + process.matching("Traceback"), process.output


@pytest.mark.parametrize(
    "arguments, code, expected",
    (
        (["--help"], 0, ("--ros-args -p model:=/path/model.onnx", f" {package_file('config/segment.yaml')}")),
        (["--model", "x"], 2, ("--model",)),
    ),
)
def test_help_and_unknown_arguments(arguments: Any, code: int, expected: str) -> None:
    with NodeProcess(DOMAIN, *arguments) as process:
        assert process.wait() == code
        assert all(words in " ".join(process.output.split()) for words in expected)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM), ids=lambda number: number.name)
def test_signal_while_modules_are_imported(number: signal.Signals, tmp_path: Path) -> None:
    # A fake rclpy whose import prints a line and then takes a minute, in short sleeps: Python does not notice a signal
    # that comes just before a sleep until that ends.
    (tmp_path / "rclpy.py").write_text(
        "import time; print('importing', flush=True); [time.sleep(0.1) for _ in range(600)]"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "bisenet_ros.node"]
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # A test run in a shell's background inherits that SIGINT is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stdout.read() == b""


# A GPU fault that only a new process cures


NODE_WHOSE_GPU_FAILS = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from bisenet_ros.engines.engine import FatalEngineError
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from bisenet_ros.node.run_node import run_node
from node_harness import FakeEngine
when = sys.argv.pop(1)
error = FatalEngineError("the GPU answers CUDA_ERROR_ILLEGAL_ADDRESS")
engine = FakeEngine()
engine.faults = [error] if when == "frame" else []
def open_engine(*_, **__):
    if when == "start":
        raise error
    return engine
tensorrt_engine.TensorRtEngine = open_engine
sys.exit(run_node())
"""


@pytest.mark.parametrize("when", ("start", "frame"))
def test_gpu_fault_ends_the_process_with_its_own_code_and_the_next_one_says_why(
    when: str, vehicle: Vehicle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT_LOG, str(tmp_path / "faults"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    namespace = f"/fatal_{when}"
    groups = package_file("config/class_maps/drivable.yaml")  # with them a model file is made for the engine
    arguments = ("--ros-args", "-r", f"__ns:={namespace}", "-r", f"/camera/image_raw:={namespace}/image")
    arguments += ("-p", "device:=cuda", "-p", f"class_map:={groups}")
    status = f"{namespace}/segmentation_node: segmentation"
    camera = vehicle.camera(f"{namespace}/image")
    with NodeProcess(DOMAIN, when, *arguments, program=("-c", NODE_WHOSE_GPU_FAILS)) as process:
        if when == "frame":
            image = camera_image(np.zeros((8, 8, 3), np.uint8), "bgr8")
            vehicle.wait_for(lambda: vehicle.subscriptions(camera.topic), "the subscription")
            vehicle.wait_for(lambda: vehicle.statuses(status), "the diagnostics, or the last of them may be lost")
            vehicle.wait_for(lambda: camera.send(image) and not process.is_running(), "the process to end")
        assert process.wait() == EXIT_CODE == 75
        assert process.matching("FATAL.*CUDA_ERROR_ILLEGAL_ADDRESS") and not process.matching("Traceback")
        assert when == "start" or process.matching("the engine failed: FatalEngineError"), process.output
    assert not list(tmp_path.glob("bisenet_ros.*")), "the model file that was made is gone"
    if when == "frame":  # at the start nobody knows the node yet
        words = "ILLEGAL_ADDRESS; this process ends with exit code 75"
        vehicle.wait_for(
            lambda: any(entry.level == ERROR and words in entry.message for entry in vehicle.statuses(status)), words
        )
    with NodeProcess(DOMAIN, "never", *arguments, program=("-c", NODE_WHOSE_GPU_FAILS)):
        words = "^running; started again after a fault: the GPU answers CUDA_ERROR_ILLEGAL_ADDRESS$"
        found = vehicle.wait_for_status(status, DiagnosticStatus.WARN, words)
        assert values_of(found)["restarts"] == "1"
        assert list(tmp_path.glob("bisenet_ros.*/*.onnx")), "the test sees the folder"
    camera.close()


def test_nodes_of_one_launch_have_files_of_their_own_for_their_faults(tmp_path: Path) -> None:
    files = [fault_log(tmp_path, namespace) for namespace in ("/", "segmentation", "/front/segmentation")]
    assert len({*files}) == 3 and all(file.parent == tmp_path for file in files)
    assert fault_log(tmp_path, "front/segmentation") == files[-1]


@pytest.mark.parametrize("where", ("_parse_arguments", "SegmentationNode"))
def test_ctrl_c_at_the_very_beginning_ends_it_with_0(where: str) -> None:
    """And a second one while that ends the start changes nothing."""
    interrupted = f"""
import signal
from bisenet_ros.node import run_node
def interrupt(*_, **__):
    try:
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.raise_signal(signal.SIGINT)
run_node.{where} = interrupt
raise SystemExit(run_node.run_node())
"""
    command = [sys.executable, "-c", interrupted]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "ROS_DOMAIN_ID": str(DOMAIN)}
    )
    assert (done.returncode, done.stderr) == (0, "")
