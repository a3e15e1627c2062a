# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node's process on the stub GPU, through the real cuda-python: what faults do to it, and its exit code."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from node_harness import DOMAIN, QUICK_DIAGNOSTICS, NodeProcess, Vehicle, camera_image, values_of
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool
from tiny_model import save_tiny_model

from bisenet_ros.engines.cuda.open_device import has_cuda_python
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.node.restart import EXIT_CODE

pytestmark = [
    pytest.mark.skipif(not has_cuda_python(), reason="cuda-python is not installed"),
    pytest.mark.skipif(not shutil.which("g++"), reason="gcc makes the stub, and g++ its kernels"),
]
NODE_ON_THE_STUB = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from fake_plans import FakeTensorRt
from stub_gpu import compile_for_host, stub_gpu
from bisenet_ros.engines import load_engine
from bisenet_ros.engines.cuda import cuda_python_device
from bisenet_ros.engines.tensorrt import engine, tail_choice
from bisenet_ros.node.run_node import run_node
call, after, error = sys.argv.pop(1), int(sys.argv.pop(1)), int(sys.argv.pop(1))
cuda_python_device.compile_with_nvrtc = lambda name, _: compile_for_host(name)
engine.load_tensorrt, tail_choice.read = FakeTensorRt, lambda path: "logits"
stub_gpu().fail_call(call, after, error)
sys.exit(run_node(load=load_engine))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, card: ModelCard) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card)


@pytest.fixture
def start(model: Path, tmp_path: Path):
    """Starts a node, on device cuda, on which the call `after` more of its name fails."""

    def start_node(namespace: str, call: str, after: int, error: int) -> NodeProcess:
        parameters = {"model": model, "device": "cuda", "precision": "fp32", "plan_cache": tmp_path}
        arguments = ["--ros-args", "-r", f"__ns:={namespace}", "-r", f"/camera/image_raw:={namespace}/image"]
        arguments += [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        program = ("-c", NODE_ON_THE_STUB)
        return NodeProcess(DOMAIN, call, str(after), str(error), *arguments, *QUICK_DIAGNOSTICS, program=program)

    return start_node


IMAGE = camera_image(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), "bgr8")


def test_a_fault_that_passes_costs_nothing_and_the_node_ends_well(vehicle: Vehicle, start) -> None:
    """Out of memory while the first frame's plan is prepared; it is tried again."""
    camera, masks = vehicle.camera("/gpu_passes/image"), vehicle.listen("/gpu_passes/mask", Image)
    with start("/gpu_passes", "cuMemAlloc_v2", 3, 2) as process:
        camera.connect(IMAGE, masks)
        for _ in range(3):
            vehicle.answer(masks, camera.send(IMAGE))
        status = vehicle.wait_for_status(
            "/gpu_passes/segmentation_node: segmentation", DiagnosticStatus.OK, "^running$"
        )
        assert values_of(status)["engine_faults"] == "0" and "Stub GPU, fp32" in values_of(status)["engine"]
        told = "the plan to logits for 64x48 is tried once more: .*CUDA_ERROR_OUT_OF_MEMORY"
        vehicle.wait_for(lambda: process.matching(told), "the log line")
        status = vehicle.wait_for_status("/gpu_passes/segmentation_node: camera camera", DiagnosticStatus.OK, "^segm")
        assert 0 < float(values_of(status)["mean_confidence"]) < 1, "of the logits, which were copied from the GPU"
        process.send(signal.SIGINT)
        assert process.wait() == 0 and not process.matching("Traceback"), process.output
    camera.close()


def test_a_fault_that_lasts_ends_the_node_with_its_own_code(vehicle: Vehicle, start) -> None:
    camera, masks = vehicle.camera("/gpu_lasts/image"), vehicle.listen("/gpu_lasts/mask", Image)
    with start("/gpu_lasts", "cuGraphLaunch", 1, 700) as process:
        vehicle.wait_for(lambda: camera.send(IMAGE) and not process.is_running(), "the node to end")
        assert process.wait() == EXIT_CODE, process.output
        assert process.matching("FATAL.*the GPU answers CUDA_ERROR_ILLEGAL_ADDRESS, after which only a new process")
        assert not process.matching("Traceback|Fatal Python"), process.output
    assert masks, "before the fault"
    camera.close()


def test_a_fault_at_the_start_can_be_tried_again(vehicle: Vehicle, start) -> None:
    node = "/gpu_start/segmentation_node"
    with start("/gpu_start", "cuDevicePrimaryCtxRetain", 0, 2) as process:
        words = "could not configure: device cuda cannot be used: CUDA answers CUDA_ERROR_OUT_OF_MEMORY"
        vehicle.wait_for_status(f"{node}: segmentation", DiagnosticStatus.ERROR, words)
        assert vehicle.call(SetBool, f"{node}/enable", SetBool.Request(data=True)).success
        process.send(signal.SIGINT)
        assert process.wait() == 0


def test_a_fault_at_the_close_does_not_keep_the_node_from_ending(vehicle: Vehicle, start) -> None:
    camera, masks = vehicle.camera("/gpu_close/image"), vehicle.listen("/gpu_close/mask", Image)
    with start("/gpu_close", "cuGraphExecDestroy", 0, 719) as process:
        camera.connect(IMAGE, masks)
        for _ in range(3):
            vehicle.answer(masks, camera.send(IMAGE))
        process.send(signal.SIGINT)
        assert process.wait() == 0 and not process.matching("Traceback"), process.output
        assert process.matching("not everything on the GPU could be freed: .*CUDA_ERROR_LAUNCH_FAILED")
    camera.close()
