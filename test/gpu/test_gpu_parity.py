# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: the masks of the CPU engines, in every precision, by both ways of calling TensorRT and both tails."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import numpy as np
import pytest

from bisenet_ros.engines.cuda.kernels import MaskUpsampling
from bisenet_ros.engines.cuda.open_device import open_device
from bisenet_ros.engines.tensorrt.api import load_tensorrt
from bisenet_ros.engines.tensorrt.plan import TensorRtError
from gpu.conftest import on_gpu
from gpu.make_references import SIZES

LEAST_EQUAL = {"fp32": 0.999, "fp16": 0.995, "int8": 0.98}
"""Of the pixels. int8 is compared with the same quantized network on the CPU."""


def has_api(name: str) -> bool:
    module = load_tensorrt()._module
    return hasattr(module.ICudaEngine, {"tensors": "num_io_tensors", "bindings": "num_bindings"}[name])


@pytest.mark.parametrize("api", ["tensors", "bindings"])
@pytest.mark.parametrize("precision", LEAST_EQUAL)
def test_masks_are_those_of_the_cpu(create, arrays, results, size, precision, api):
    if not has_api(api):
        pytest.skip(f"this TensorRT does not call by {api}")
    name = f"{size[1]}x{size[0]}"
    frame, reference = arrays[f"{name}/frame"], "int8" if precision == "int8" else "fp32"
    expected = arrays[f"{name}/{reference}/mask"]
    engine = create(precision, api=api)
    try:
        engine.segment(frame)  # builds the plan
    except TensorRtError as error:
        if precision == "int8" and "no int8 arithmetic" in str(error):
            pytest.skip(str(error))
        raise
    for tail in engine._gpu.tails:
        first, *others = (on_gpu(engine, engine._gpu.pipelines.run, size, tail, [frame])[0].mask for _ in range(3))
        assert first.shape == size and first.dtype == np.uint8
        assert all(np.array_equal(first, other) for other in others), "a graph's masks are those of the first run"
        equal = float(np.mean(first == expected))
        results[f"parity {name} {precision} {api} to {tail}"] = {
            "equal": equal,
            "pixels": int(np.sum(first != expected)),
        }
        assert equal >= LEAST_EQUAL[precision]


@pytest.mark.parametrize("api", ["tensors", "bindings"])
def test_a_batch_has_the_masks_of_its_frames(create, arrays, results, api):
    """Batches of 3, 2 and 1 from one plan, each also by a graph, and five frames, which are two batches."""
    if not has_api(api):
        pytest.skip(f"this TensorRT does not call by {api}")
    frame, expected = arrays["1280x720/frame"], arrays["1280x720/fp32/mask"]
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    alone = [create().segment(image) for image in (frame, mirrored)]
    engine = create(max_batch=3, api=api)
    equal = []
    for tail in engine._gpu.tails:
        for count in (3, 3, 3, 2, 2, 2, 1, 1, 3):
            images = [(frame, mirrored)[i % 2] for i in range(count)]
            found = on_gpu(engine, engine._gpu.pipelines.run, frame.shape[:2], tail, images)
            assert np.mean(found[0].mask == expected) >= LEAST_EQUAL["fp16"]
            equal += [float(np.mean(result.mask == alone[i % 2])) for i, result in enumerate(found)]
    results[f"batches of 1280x720 fp16 {api}, equal to single frames at least"] = min(equal)
    assert min(equal) >= LEAST_EQUAL["fp16"]
    masks, confidence = zip(*engine.segment_batch([frame, mirrored] * 2 + [frame], confidence=True))
    assert len(masks) == 5
    for i in range(5):
        assert np.mean(masks[i] == alone[i % 2]) >= LEAST_EQUAL["fp16"]
        assert np.mean(np.abs(confidence[i].astype(int) - confidence[i % 2]) <= 2) >= 0.99


def test_memory_is_told(create, results):
    used, total = create().memory_mib()
    results["GPU memory, MiB"] = {"used": round(used), "total": round(total)}
    assert 0 < used < total


def test_confidence_is_that_of_the_cpu(create, arrays, results, size):
    name = f"{size[1]}x{size[0]}"
    expected = arrays[f"{name}/fp32/confidence"].astype(int)
    engine = create("fp32")
    for _ in range(2):
        mask, confidence = engine.segment(arrays[f"{name}/frame"], confidence=True)
        difference = np.abs(confidence - expected)
        assert np.mean(mask == arrays[f"{name}/fp32/mask"]) >= LEAST_EQUAL["fp32"]
        assert np.mean(difference <= 2) >= 0.99
    results[f"confidence {name} fp32"] = {"largest difference": int(difference.max())}


def test_our_kernel_gives_the_masks_of_the_cpu(arrays, results):
    logits, (height, width) = arrays["kernel/logits"], SIZES[-1]
    outputs = [np.empty((height, width), np.uint8) for _ in range(2)]
    device = open_device()
    with ExitStack() as owner:
        owner.callback(device.close)
        stream = device.create_stream(owner)
        upsampling = MaskUpsampling(
            device, owner, stream, classes=len(logits), logits_size=logits.shape[1:], frame_size=(height, width)
        )
        addresses = [device.allocate(array.nbytes, owner) for array in (logits, *outputs)]
        device.upload(addresses[0], logits, stream)
        upsampling.enqueue(*addresses, stream)
        for output, address in zip(outputs, addresses[1:]):
            device.download(output, address, stream)
        device.synchronize(stream)
    different = int(np.sum(outputs[0] != arrays["kernel/mask"]))
    results["kernel, random logits"] = {"different pixels": different, "of": height * width}
    assert different <= 2
    assert np.abs(outputs[1].astype(int) - arrays["kernel/confidence"]).max() <= 2


def test_four_threads_call_one_engine(create, arrays):
    engine = create()
    frame = arrays["1280x720/frame"]
    frames = [np.ascontiguousarray(np.roll(frame, 200 * i, axis=1)) for i in range(4)]
    expected = [engine.segment(frame) for frame in frames]

    def work(i: int) -> bool:
        return all(np.array_equal(engine.segment(frames[i]), expected[i]) for _ in range(200))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_a_graph_replays_the_frame_where_cuda_python_is_installed(create, arrays, results):
    engine = create()
    for _ in range(2):
        engine.segment(arrays["1280x720/frame"])
    pipelines = [pipeline for tails in engine._gpu.pipelines.by_size.values() for pipeline in tails.values()]
    captured = [
        pipeline._graphs[1, "mask"].__qualname__.startswith("CudaPythonDevice.capture") for pipeline in pipelines
    ]
    results["CUDA graph"] = {"captured": captured}
    if type(engine._gpu.device).__name__ == "CudaPythonDevice":
        assert all(captured)


def test_stages_of_a_frame(create, arrays, results, size):
    """Where the time of a frame goes."""
    name = f"{size[1]}x{size[0]}"
    engine = create()
    times = [engine.stage_milliseconds(arrays[f"{name}/frame"]) for _ in range(120)][20:]
    medians = {stage: float(np.median([each[stage] for each in times])) for stage in times[0]}
    whole = sum(medians.values())
    results[f"stages {name} fp16"] = {
        stage: {"ms": round(median, 4), "per cent": round(100 * median / whole, 1)} for stage, median in medians.items()
    }
    assert min(medians.values()) >= 0 and medians["network"] > 0
