# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: memory does not grow, frame by frame and engine by engine."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np

from gpu.conftest import device_memory

MEBIBYTE = 1 << 20
WARM_UP = 200
LARGEST_GROWTH = {"NVIDIA driver": 8, "Jetson": 256}
"""MiB of device memory. On a Jetson CUDA counts the whole system's memory, which other programs use too."""


def host_memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def device_memory_has_grown(grown: int) -> bool:
    is_jetson = Path("/etc/nv_tegra_release").exists()
    return grown >= LARGEST_GROWTH["Jetson" if is_jetson else "NVIDIA driver"] * MEBIBYTE


def test_ten_thousand_frames_do_not_grow_memory(create, arrays, results, pytestconfig):
    engine, frames = create(), pytestconfig.getoption("frames")
    frame = arrays["1280x720/frame"]
    for _ in range(WARM_UP):
        expected = engine.segment(frame)
    gc.collect()
    host, device = host_memory(), device_memory(engine)
    for i in range(frames):
        mask = engine.segment(frame)
        assert i % 500 or np.array_equal(mask, expected)
    gc.collect()
    grown = {"host": host_memory() - host, "device": device_memory(engine) - device}
    results[f"memory grown after {frames} frames, bytes"] = grown
    assert grown["host"] < 8 * MEBIBYTE and not device_memory_has_grown(grown["device"])


def test_engines_that_come_and_go_give_the_gpu_back(create, arrays, results):
    watcher = create()
    watcher.segment(arrays["1280x720/frame"])

    def live_once() -> None:
        engine = create()
        engine.segment(arrays["1280x720/frame"], confidence=True)
        engine.close()

    for _ in range(3):
        live_once()
    before = device_memory(watcher)
    for _ in range(20):
        live_once()
    grown = device_memory(watcher) - before
    results["device memory grown after 20 engines, bytes"] = grown
    assert not device_memory_has_grown(grown)


def test_changing_frame_sizes_do_not_fill_the_gpu(create):
    """At most four are kept. Small ones, whose plans are built fast."""
    engine = create()
    sizes = [(64, 64 + 32 * i) for i in range(6)]
    for size in sizes:
        engine.segment(np.zeros((*size, 3), np.uint8))
    before = device_memory(engine)
    for size in sizes:
        engine.segment(np.zeros((*size, 3), np.uint8))
    assert not device_memory_has_grown(device_memory(engine) - before)
