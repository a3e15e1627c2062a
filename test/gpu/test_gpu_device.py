# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: the kernel and copies by themselves, waiting, pycuda, torch beside us, opening again, a real fault."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import Callable

import numpy as np
import pytest

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.kernels import MaskUpsampling
from bisenet_ros.engines.cuda.open_device import open_device
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from gpu.conftest import device_memory
from gpu.make_references import PAPER

REPEATS = 50
FAULT = """
import sys
from pathlib import Path
import numpy as np
from bisenet_ros.engines.cuda.kernels import bytes_to_floats
from bisenet_ros.engines.engine import FatalEngineError
from bisenet_ros.engines.tensorrt.engine import TensorRtEngine
from bisenet_ros.model.model_card import read_card
model, cache = map(Path, sys.argv[1:])
engine = TensorRtEngine(model, read_card(model), precision="fp16", cache=cache)
frame = np.zeros((64, 64, 3), np.uint8)
engine.segment(frame)
def fault(gpu=engine._gpu):
    (pipeline, *_) = next(iter(gpu.pipelines.by_size.values())).values()
    bytes_to_floats(gpu.device, 64, 64, 1024, pipeline._stream)
try:
    engine._thread.call(fault)
except RuntimeError:  # some drivers tell at once
    pass
try:
    engine.segment(frame)
except FatalEngineError as error:
    print(error)
    engine.close()
    sys.exit(75)
"""


@pytest.fixture
def device():
    device = open_device()
    yield device
    device.close()


def milliseconds(device: CudaDevice, stream: int, enqueue: Callable[[], None]) -> float:
    """The time of one of many that run back to back, on the GPU."""
    with ExitStack() as owner:
        begin, end = device.create_event(owner), device.create_event(owner)
        for _ in range(5):
            enqueue()
        device.record(begin, stream)
        for _ in range(REPEATS):
            enqueue()
        device.record(end, stream)
        device.synchronize(stream)
        return device.elapsed(begin, end) / REPEATS


def test_kernel_and_copies_by_themselves(device, results):
    """The kernel was estimated at 0.03 to 0.06 ms on an H100, and 2.5 to 5 ms on a TX2."""
    frame_size, logits_size, classes = PAPER
    pixels = frame_size[0] * frame_size[1]
    with ExitStack() as owner:
        stream = device.create_stream(owner)
        upsampling = MaskUpsampling(
            device, owner, stream, classes=classes, logits_size=logits_size, frame_size=frame_size
        )
        logits = device.allocate(4 * classes * logits_size[0] * logits_size[1], owner)
        frame, mask, confidence = (device.allocate(count * pixels, owner) for count in (3, 1, 1))
        host_frame, host_mask = (device.allocate_pinned((count * pixels,), owner) for count in (3, 1))
        noise = np.random.default_rng(0).standard_normal((classes, *logits_size), dtype=np.float32)
        device.upload(logits, noise, stream)
        times = {
            "kernel, mask": lambda: upsampling.enqueue(logits, mask, 0, stream),
            "kernel, mask and confidence": lambda: upsampling.enqueue(logits, mask, confidence, stream),
            "frame to the GPU": lambda: device.upload(frame, host_frame, stream),
            "mask from the GPU": lambda: device.download(host_mask, mask, stream),
        }
        found = {name: milliseconds(device, stream, enqueue) for name, enqueue in times.items()}
        start = time.perf_counter()
        host_mask.copy()
        found["mask out of pinned memory"] = 1000 * (time.perf_counter() - start)
    name = f"{frame_size[1]}x{frame_size[0]}, {classes} classes, ms"
    results[name] = {what: round(value, 4) for what, value in found.items()}
    assert all(value > 0 for value in found.values())


def test_waiting_for_the_gpu_leaves_pythons_lock_to_others(create, arrays, results):
    engine, frame = create(), arrays["1280x720/frame"]
    engine.segment(frame)  # builds the plan
    steps, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            steps[0] += 1

    def steps_a_second(seconds: float = 1.0, *, busy: bool) -> float:
        before, start = steps[0], time.perf_counter()
        while time.perf_counter() - start < seconds:
            if busy:
                engine.segment(frame)
            else:
                time.sleep(0.01)
        return (steps[0] - before) / (time.perf_counter() - start)

    thread = threading.Thread(target=count)
    thread.start()
    alone, beside = steps_a_second(busy=False), steps_a_second(busy=True)
    ended.set()
    thread.join()
    results["another thread's speed while frames run"] = round(beside / alone, 3)
    assert beside / alone > 0.1


def test_the_gpu_is_opened_again_after_all_was_closed(create, arrays, results):
    frame = arrays["1280x720/frame"]
    masks = []
    for _ in range(3):
        engine = create()
        masks.append(engine.segment(frame))
        engine.close()
    assert all(np.array_equal(mask, masks[0]) for mask in masks)


def test_pycuda_gives_the_same_masks(create, arrays, results, monkeypatch):
    if not importlib.util.find_spec("pycuda"):
        pytest.skip("pycuda is not installed")
    from bisenet_ros.engines.cuda.pycuda_device import PycudaDevice

    frame = arrays["1280x720/frame"]
    expected = create().segment(frame)
    monkeypatch.setattr(tensorrt_engine, "open_device", PycudaDevice)
    engine = create()
    masks = [engine.segment(frame) for _ in range(3)]
    equal = min(float(np.mean(mask == expected)) for mask in masks)
    results["pycuda, equal to cuda-python"] = equal
    assert equal >= 0.995
    used = device_memory(engine)
    engine.close()
    watcher = create()
    assert device_memory(watcher) <= used


def test_torch_on_the_same_gpu_does_no_harm(create, arrays):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch has no CUDA here")
    engine, frame = create(), arrays["1280x720/frame"]
    expected = engine.segment(frame)
    square = torch.ones((512, 512), device="cuda")
    for _ in range(20):
        total = (square @ square).sum().item()
        assert np.array_equal(engine.segment(frame), expected)
    engine.close()
    assert (square @ square).sum().item() == total, "closing leaves torch's context alone"


def test_an_illegal_access_is_told_apart_and_ends_cleanly(references, plans):
    """In a process of its own, whose use of the GPU is over afterwards."""
    command = [sys.executable, "-c", FAULT, references / "model.onnx", plans]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, timeout=600)
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in done.stdout and done.returncode == 75


def test_a_graph_is_as_right_as_no_graph_and_faster(create, arrays, results, monkeypatch, pytestconfig):
    """For one frame and for two, with and without confidence, in turn."""
    repeats = min(REPEATS, pytestconfig.getoption("frames") // 4)
    frame = arrays["1280x720/frame"]
    batches = [([frame], False), ([frame] * 2, False), ([frame], True), ([frame] * 2, True)]
    found = {}
    for name in ("graph", "no graph"):
        if name == "no graph":
            monkeypatch.setattr("bisenet_ros.engines.tensorrt.frame_pipeline.capture", lambda *arguments: arguments[3])
        engine = create(max_batch=2)
        for _ in range(3):
            masks = [engine.segment_batch(frames, confidence=wanted) for frames, wanted in batches]
        start = time.perf_counter()
        for _ in range(repeats):
            for frames, wanted in batches:
                engine.segment_batch(frames, confidence=wanted)
        found[name] = masks, 1000 * (time.perf_counter() - start) / repeats
    for with_graph, without in zip(found["graph"][0], found["no graph"][0]):
        for one, other in zip(with_graph, without):
            assert all(map(np.array_equal, one, other))
    results["six frames in four batches in turn, ms"] = {name: round(took, 3) for name, (_, took) in found.items()}
