# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which tests are collected, and the fixtures that several folders share."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Dict, Iterator, List, Tuple

import pytest
from camvid_classes import CAMVID

from bisenet_ros.model.model_card import ModelCard

if TYPE_CHECKING:
    from node_harness import Vehicle
    from stub_gpu import StubGpu

NEEDED_PACKAGES: Dict[str, Tuple[str, ...]] = {
    "bags": ("rosbags", "mcap"),
    "benchmark/test_eager_engine.py": ("torch",),
    "engines/test_engines.py": ("torch",),
    "engines/test_postprocess.py": ("torch",),
    "engines/test_tensorrt_engine.py": ("torch",),
    "evaluation": ("rosbags", "mcap", "jinja2", "matplotlib", "tqdm"),
    "images/test_fuzz_images.py": ("hypothesis",),
    "network": ("torch", "pydantic", "yaml"),
    "node": ("rclpy",),
    "node/test_bag_replay.py": ("rosbags", "mcap", "jinja2", "matplotlib", "tqdm"),
    "node/test_benchmark_node.py": ("psutil",),
    "node/test_fuzz_node.py": ("hypothesis",),
    "node/test_ground_grid_tf2.py": ("rclpy", "tf2_ros"),
    "node/test_soak.py": ("psutil",),
    "quantization/test_quantize.py": ("rosbags", "mcap", "tqdm"),
    "segmentation": ("rosbags", "mcap", "tqdm"),
    "test_include_launch.py": ("rclpy", "launch_ros", "ros2launch"),
    "test_launch.py": ("rclpy", "launch_ros", "ros2launch"),
    "test_replay.py": ("rclpy", "launch_ros", "ros2launch"),
    "training": ("torch", "lightning", "pydantic", "yaml", "scipy", "tqdm", "jinja2", "matplotlib"),
}
"""What the tests in a folder or file import that not every installation has. Without it they are not collected."""
MISSING_PACKAGES = {
    tests: [package for package in packages if not find_spec(package)] for tests, packages in NEEDED_PACKAGES.items()
}

assert all((Path(__file__).parent / tests).exists() for tests in NEEDED_PACKAGES), "a file was renamed"
# `make test-gpu` names its folder; pytest collects what is named on the command line although it is listed here.
collect_ignore = ["gpu", *(tests for tests, missing in MISSING_PACKAGES.items() if missing)]


def pytest_configure() -> None:
    """Makes torch compute on one thread, here and in the programs that tests start.

    Several threads wait for each other in busy loops, on the cores that the other test process needs: a training of
    seconds then takes a minute.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_finish() -> None:
    """Takes what was imported out of garbage collection, which `node_here` asks for before each test: 0.4 s of it."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> List[str]:
    """Names the tests that are not collected, and why."""
    return [
        f"not collected: test/{tests}, needs {', '.join(missing)}"
        for tests, missing in MISSING_PACKAGES.items()
        if missing
    ]


@pytest.fixture(scope="session")
def card() -> ModelCard:
    return ModelCard(
        name="BiSeNetV2", classes=CAMVID, mean=(0.4, 0.42, 0.43), std=(0.31, 0.3, 0.29), network_size=(360, 480)
    )


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return Path(__file__).parents[1] / "models" / "bisenetv2_camvid.onnx"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubGpu]:
    """A GPU that is there during the test, and runs our kernels."""
    from bisenet_ros.engines.cuda.open_device import has_cuda_python

    if not has_cuda_python():
        pytest.skip("cuda-python is not installed")
    if not (shutil.which("gcc") and shutil.which("g++")):
        pytest.skip("gcc makes the stub, and g++ its kernels")
    from stub_gpu import compile_for_host, stub_gpu

    from bisenet_ros.engines.cuda import cuda_python_device

    monkeypatch.setattr(cuda_python_device, "compile_with_nvrtc", lambda name, _: compile_for_host(name))
    gpu = stub_gpu()
    gpu.reset()
    yield gpu
    gpu.reset(present=False)


@pytest.fixture(params=["cuda-python", "pycuda"])
def backend(request: pytest.FixtureRequest, stub: StubGpu, monkeypatch: pytest.MonkeyPatch) -> str:
    """By which package the stub is used."""
    if request.param == "pycuda":
        if not find_spec("pycuda"):
            pytest.skip("pycuda is not installed; `pip install pycuda` builds it where there is a CUDA toolkit")
        from stub_gpu import compile_for_host

        from bisenet_ros.engines.cuda import open_device

        flags = sys.getdlopenflags()
        sys.setdlopenflags(os.RTLD_LAZY)  # the stub has only those of pycuda's symbols that are called
        from bisenet_ros.engines.cuda import pycuda_device

        sys.setdlopenflags(flags)
        monkeypatch.setattr(open_device, "has_cuda_python", lambda: False)
        monkeypatch.setattr(pycuda_device, "compile_with_nvcc", lambda name, _: compile_for_host(name))
    return request.param


@pytest.fixture(scope="session")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vehicle]:
    """The ROS node of the tests, in the test run's own domain."""
    from node_harness import DOMAIN, Vehicle

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        vehicle = Vehicle(DOMAIN)
        yield vehicle
        vehicle.close()


@pytest.fixture(scope="module")
def launch_vehicle(request: pytest.FixtureRequest) -> Iterator[Vehicle]:
    """A camera and listener in the domain of the test file, which starts its nodes there by a launch file."""
    from node_harness import Vehicle

    vehicle = Vehicle(request.module.DOMAIN)
    yield vehicle
    vehicle.close()
