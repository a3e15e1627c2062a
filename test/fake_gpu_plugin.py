# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin that puts the host in a GPU's place, so that the GPU suite itself is tested where there is none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import List, Optional

import fake_gpu
import gpu.make_references as references
import pytest

from bisenet_ros.engines.cuda import driver as cuda_driver
from bisenet_ros.engines.tensorrt import api as tensorrt_api
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine

SIZES = ((90, 120), (96, 160))
"""(height, width), small because the host is slow."""


class FakeTensorRt(fake_gpu.FakeTensorRt):
    """With both of TensorRT's ways to call, which are one here."""

    _module = SimpleNamespace(ICudaEngine=SimpleNamespace(num_io_tensors=1, num_bindings=1))


loaded: List[FakeTensorRt] = []


def load_tensorrt(flavor: Optional[str] = None) -> FakeTensorRt:
    loaded.append(FakeTensorRt())
    return loaded[-1]


def open_device() -> fake_gpu.FakeDevice:
    device = fake_gpu.FakeDevice()
    if loaded:
        loaded[-1].device = device
    return device


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Before the suite's conftest.py takes the names from their modules."""
    references.SIZES = SIZES
    for module, replacements in (
        (cuda_driver, {"require_gpu": lambda: None, "open_device": open_device}),
        (tensorrt_api, {"require_gpu": lambda: None, "load_tensorrt": load_tensorrt}),
        (tensorrt_engine, {"load_tensorrt": load_tensorrt, "open_device": open_device}),
        (tensorrt_engine, {"MEASURED_FRAMES": 2, "WARM_UP_FRAMES": 1}),
    ):
        vars(module).update(replacements)
