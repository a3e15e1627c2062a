# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that puts the stub in a GPU's place, so that the GPU suite itself is tested where there is none."""

from __future__ import annotations

from types import SimpleNamespace

import fake_plans
import gpu.make_references as references
import pytest
from stub_gpu import compile_for_host, stub_gpu

from bisenet_ros.engines.cuda import cuda_python_device
from bisenet_ros.engines.tensorrt import api as tensorrt_api
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from bisenet_ros.engines.tensorrt import tail_choice

SIZES = ((90, 120), (96, 160))
"""(height, width), small because the host is slow."""


class FakeTensorRt(fake_plans.FakeTensorRt):
    """With both of TensorRT's ways to call, which are one here."""

    _module = SimpleNamespace(ICudaEngine=SimpleNamespace(num_io_tensors=1, num_bindings=1))


def load_tensorrt() -> FakeTensorRt:
    return FakeTensorRt()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before the suite's conftest.py takes the names from their modules."""
    stub_gpu()
    references.SIZES, references.PAPER = SIZES, ((96, 160), (12, 20), 5)
    for module, replacements in (
        (cuda_python_device, {"compile_with_nvrtc": lambda name, _: compile_for_host(name)}),
        (tensorrt_api, {"load_tensorrt": load_tensorrt}),
        (tensorrt_engine, {"load_tensorrt": load_tensorrt}),
        (tail_choice, {"MEASURED_FRAMES": 2, "WARM_UP_FRAMES": 1}),
    ):
        vars(module).update(replacements)
