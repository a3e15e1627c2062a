# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The TensorRT engine without a GPU: on the stub GPU, through the real cuda-python, with ONNX Runtime as TensorRT."""

from __future__ import annotations

import gc
import json
import logging
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from bisenet_training.export import export
from fake_plans import FakeTensorRt
from stub_gpu import OUT_OF_MEMORY
from tiny_model import save_tiny_model

from bisenet_ros.cli import main
from bisenet_ros.commands import build_engine
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.cuda import cuda_python_device
from bisenet_ros.engines.cuda.cuda_python_device import CudaPythonDevice
from bisenet_ros.engines.cuda.device import CudaDevice, GpuError
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from bisenet_ros.engines.tensorrt import tail_choice
from bisenet_ros.engines.tensorrt.builder import PlanStore
from bisenet_ros.engines.tensorrt.engine import MOST_SIZES, TensorRtEngine
from bisenet_ros.engines.tensorrt.frame_pipeline import NetworkTimer
from bisenet_ros.engines.tensorrt.plan import TensorRtError
from bisenet_ros.engines.tensorrt.worker_thread import WorkerThread
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2
from demo.clip import frame_ids, read_image

SIZES = [(96, 128), (64, 160), (75, 101)]


@pytest.fixture(scope="module")
def clip_frame():
    return read_image(frame_ids()[0])


@pytest.fixture(scope="module")
def model(tmp_path_factory, clip_frame, card):
    """A narrow network of random weights whose batch norms have seen a real frame, so that its logits are spread."""
    torch.manual_seed(0)
    network = BiSeNetV2(classes=len(card.classes), width=0.25, head_width=16).train()
    image = clip_frame[::2, ::2, ::-1].transpose(2, 0, 1) / np.float32(128) - 1
    images = torch.from_numpy(np.stack([image, image[:, :, ::-1]]))
    with torch.no_grad():
        for _ in range(20):
            network(images)
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export(network.eval(), card, path)
    return path


@pytest.fixture(scope="module")
def cpu_engine(model):
    return OnnxRuntimeEngine(model, read_card(model))


@pytest.fixture
def frame(clip_frame):
    """A part of a real frame, whose rows are padded."""
    return lambda size: clip_frame[100 : 100 + size[0], 50 : 50 + size[1]]


class Gpu:
    """Makes engines on the stub GPU."""

    def __init__(self, monkeypatch, stub, model: Path, cache: Path) -> None:
        self._monkeypatch = monkeypatch
        self._model = model
        self._engines = []
        self.stub = stub
        self.cache = cache
        self.tensorrt: FakeTensorRt

    def engine(
        self, *, has_uint8: bool = True, compiles: bool = True, captures: bool = True, max_batch: int = 1
    ) -> TensorRtEngine:
        def no_compiler(name, compute_capability):
            raise GpuError("no compiler here")

        with self._monkeypatch.context() as patch:
            if not compiles:
                patch.setattr(cuda_python_device, "compile_with_nvrtc", no_compiler)
            if not captures:
                self._monkeypatch.setattr(CudaPythonDevice, "capture", CudaDevice.capture)
            self.tensorrt = FakeTensorRt(has_uint8=has_uint8)
            self._monkeypatch.setattr(tensorrt_engine, "load_tensorrt", lambda: self.tensorrt)
            card, options = read_card(self._model), {"precision": "fp32", "cache": self.cache, "max_batch": max_batch}
            engine = TensorRtEngine(self._model, card, **options)
        self._engines.append(weakref.ref(engine))
        return engine

    def close(self) -> None:
        for reference in self._engines:
            engine = reference()
            if engine is not None:
                engine.close()
        assert not self.tensorrt.errors

    def is_clean(self) -> bool:
        """Whether everything was freed."""
        return not self.stub.alive() and not self.tensorrt.plans


@pytest.fixture
def gpu(monkeypatch, stub, model, tmp_path):
    monkeypatch.setattr(tail_choice, "MEASURED_FRAMES", 2)
    monkeypatch.setattr(tail_choice, "WARM_UP_FRAMES", 1)
    gpu = Gpu(monkeypatch, stub, model, tmp_path / "plans")
    yield gpu
    gpu.close()


@pytest.mark.parametrize(
    "options",
    [{}, {"compiles": False}, {"has_uint8": False}, {"captures": False}],
    ids=["the faster", "upsampling in the plan", "TensorRT before 8.5", "without graphs"],
)
def test_masks_are_those_of_the_cpu_engine(gpu, cpu_engine, frame, options):
    engine = gpu.engine(**options)
    for size in SIZES[:1] if options.get("captures") is False else SIZES:
        expected = cpu_engine.segment(frame(size))
        assert len(np.unique(expected)) > 2, "one class alone would show nothing"
        for _ in range(3):  # eagerly, then by the graph
            mask = engine.segment(frame(size))
            assert mask.shape == size and mask.dtype == np.uint8
            assert np.mean(mask == expected) >= 0.999
    engine.close()
    assert gpu.is_clean()


@pytest.mark.parametrize("has_uint8", [True, False])
def test_confidence_is_that_of_the_cpu_engine(gpu, cpu_engine, frame, has_uint8):
    engine = gpu.engine(has_uint8=has_uint8)
    expected_mask, expected = cpu_engine.segment(frame(SIZES[0]), confidence=True)
    for _ in range(2):
        mask, confidence = engine.segment(frame(SIZES[0]), confidence=True)
        assert np.mean(mask == expected_mask) >= 0.999
        assert np.mean(np.abs(confidence.astype(int) - expected) <= 2) >= 0.999
    assert np.mean(engine.segment(frame(SIZES[0])) == expected_mask) >= 0.999


def test_without_a_kernel_confidence_is_refused_and_masks_go_on(gpu, frame, caplog):
    engine = gpu.engine(compiles=False)
    assert "no compiler here" in caplog.text
    with pytest.raises(EngineError, match="confidence needs our own kernel"):
        engine.segment(frame(SIZES[0]), confidence=True)
    assert engine.segment(frame(SIZES[0])).shape == SIZES[0]


def test_an_old_tensorrt_needs_the_kernels(gpu):
    with pytest.raises(GpuError, match="no compiler here"):
        gpu.engine(has_uint8=False, compiles=False)
    assert gpu.is_clean()


@pytest.mark.parametrize("compiles", [True, False])
def test_a_frame_goes_up_and_its_mask_comes_down_and_nothing_else(gpu, frame, compiles):
    engine = gpu.engine(compiles=compiles)
    height, width = SIZES[0]
    engine.segment(frame(SIZES[0]))
    up, down = gpu.stub.copied
    for _ in range(3):
        engine.segment(frame(SIZES[0]))
    assert gpu.stub.copied == (up + 3 * 3 * height * width, down + 3 * height * width)


def test_results_belong_to_the_caller(gpu, frame):
    engine = gpu.engine()
    first = engine.segment(frame(SIZES[0]))
    kept = first.copy()
    engine.segment(np.zeros((*SIZES[0], 3), np.uint8))
    assert np.array_equal(first, kept)


def test_a_size_is_built_and_measured_once_for_all_engines(gpu, frame):
    engine = gpu.engine()
    for size in (SIZES[0], SIZES[1], SIZES[0]):
        engine.segment(frame(size))
    assert gpu.tensorrt.built == 4, "two tails for each of two sizes"
    assert len(gpu.tensorrt.plans) == 2, "the slower ones are closed"
    engine.close()
    engine = gpu.engine()
    engine.segment(frame(SIZES[0]))
    assert gpu.tensorrt.built == 0 and len(gpu.tensorrt.plans) == 1 and gpu.tensorrt.enqueued == 1


def test_the_faster_way_is_kept_and_obeyed(gpu, frame):
    gpu.engine().segment(frame(SIZES[0]))
    (kept,) = gpu.cache.glob("*.tail")
    found = json.loads(kept.read_text())
    assert found["milliseconds"][found["tail"]] == min(found["milliseconds"].values()) > 0
    for tail in ("mask", "logits"):
        kept.write_text(json.dumps({**found, "tail": tail}))
        engine = gpu.engine()
        engine.segment(frame(SIZES[0]))
        assert gpu.tensorrt.plans[0].outputs[0].name == tail


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tail": "head"}', "\xff"])
def test_a_broken_note_of_the_faster_way_is_written_again(gpu, frame, content):
    gpu.engine().segment(frame((64, 64)))
    (kept,) = gpu.cache.glob("*.tail")
    kept.write_text(content, encoding="latin-1")
    gpu.engine().segment(frame((64, 64)))
    assert json.loads(kept.read_text())["tail"] in ("mask", "logits")


def test_a_cache_that_cannot_be_written_is_a_warning(gpu, frame, caplog):
    gpu.cache.write_text("a file where a folder should be")
    engine = gpu.engine()
    assert engine.segment(frame((64, 64))).shape == (64, 64)
    assert "cannot be kept" in caplog.text


def test_a_plan_that_tensorrt_refuses_is_built_again(gpu, frame, caplog):
    engine = gpu.engine(compiles=False)
    expected, runner = engine.segment(frame((64, 64))), engine._gpu
    key = runner.plans.key(runner.request((64, 64), "mask"))
    runner.plans.cache.get(key, lambda: b"no plan at all", rebuild=True)
    assert np.array_equal(gpu.engine(compiles=False).segment(frame((64, 64))), expected)
    assert "is built again" in caplog.text and gpu.tensorrt.built == 1


def test_a_model_file_that_is_replaced_is_not_run_under_the_card_of_the_first(gpu, model, frame, monkeypatch, tmp_path):
    path = Path(shutil.copy(model, tmp_path / "model.onnx"))
    monkeypatch.setattr(gpu, "_model", path)
    engine = gpu.engine()
    expected = engine.segment(frame(SIZES[0]))
    network = onnx.load(model)
    network.doc_string = "exported again"
    onnx.save(network, path)
    with pytest.raises(ModelError, match="model.onnx is not the file any more that the engine was opened with"):
        engine.segment(frame(SIZES[1]))
    engine._thread.call(engine._gpu.pipelines.drop, SIZES[0])  # as when memory is short; the cache has its plan
    assert np.array_equal(engine.segment(frame(SIZES[0])), expected)
    assert gpu.engine().segment(frame(SIZES[1])).shape == SIZES[1]


def test_four_threads_at_once_get_their_own_masks(gpu, frame):
    engine = gpu.engine()
    frames = [frame((64, 64 + 16 * i)) for i in range(2)] + [frame((64, 64))[::-1], frame((64, 64))[:, ::-1]]
    expected = [engine.segment(frame) for frame in frames]
    assert not np.array_equal(expected[0], expected[2])

    def work(i: int) -> bool:
        return all(np.array_equal(engine.segment(frames[i]), expected[i]) for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4))), "a call on another thread, without the context, would have failed"


def test_a_failure_comes_to_the_caller_and_the_next_frame_is_well(gpu, frame):
    engine = gpu.engine()
    expected = engine.segment(frame(SIZES[0]))
    alive = gpu.stub.alive()
    engine.close()
    engine = gpu.engine(captures=False)
    engine.segment(frame(SIZES[0]))
    gpu.tensorrt.fails = True
    with pytest.raises(RuntimeError, match="TensorRT cannot run the plan"):
        engine.segment(frame(SIZES[0]))
    assert not gpu.tensorrt.plans and gpu.stub.alive() == {"module": 1}
    assert np.array_equal(engine.segment(frame(SIZES[0])), expected)
    assert sum(gpu.stub.alive().values()) <= sum(alive.values())


def test_three_cameras_of_different_sizes_with_confidence_lose_no_plan(gpu, frame, monkeypatch):
    monkeypatch.setattr(tail_choice, "read", lambda path: "mask")
    engine = gpu.engine()
    for _ in range(2):
        for size in SIZES:
            engine.segment(frame(size))
            engine.segment(frame(size), confidence=True)
    assert gpu.tensorrt.built == len(gpu.tensorrt.plans) == 6


def test_a_changed_kernel_has_the_faster_way_measured_again(gpu, frame, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    for kernel, measured in ((b"one", 1), (b"one", 1), (b"another", 2)):
        monkeypatch.setattr(tail_choice.pkgutil, "get_data", lambda *_, kernel=kernel: kernel)
        gpu.engine().segment(frame((64, 64)))
        assert caplog.text.count("by where their plan ends") == measured


def test_a_plan_that_cannot_be_built_leaves_nothing_behind(gpu, frame, monkeypatch):
    engine = gpu.engine()
    monkeypatch.setattr(gpu.tensorrt, "load", lambda plan, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.segment(frame(SIZES[0]))
    assert gpu.stub.alive() == {"module": 1} and engine.building == ""
    monkeypatch.undo()


def test_ctrl_c_while_the_engine_loads_leaves_nothing_behind(gpu, monkeypatch):
    """The engine's thread still finishes what it does."""
    result = Future.result

    def interrupted(future, timeout=None):
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return result(future, timeout)

    monkeypatch.setattr(Future, "result", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gpu.engine()
    assert gpu.is_clean()


def test_an_engine_that_cannot_be_opened_is_forgotten_at_once(gpu, monkeypatch):
    """Not when the garbage is collected, on any thread: pycuda frees what is no longer referred to."""

    class Opened:
        def __init__(self, *arguments):
            opened.append(weakref.ref(self))
            raise RuntimeError("no room")

    opened = []
    monkeypatch.setattr(tensorrt_engine, "_Gpu", Opened)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RuntimeError, match="no room") as raised:
            gpu.engine()
        raised.value.__traceback__ = None
        del raised
        assert opened[0]() is None
    finally:
        gc.enable()


def test_full_memory_leaves_nothing_behind(gpu, frame):
    engine = gpu.engine(compiles=False)
    engine.segment(frame((64, 64)))
    alive = gpu.stub.alive()
    gpu.stub.fail(4, OUT_OF_MEMORY)  # in the middle of a pipeline's
    with pytest.raises(RuntimeError, match="CUDA_ERROR_OUT_OF_MEMORY"):
        engine.segment(frame((64, 96)))
    assert gpu.stub.alive() == alive and len(gpu.tensorrt.plans) == 1
    assert engine.segment(frame((64, 96))).shape == (64, 96)


def refuse_plans_to(lacking, monkeypatch):
    """Plans with this tail cannot be had; returns the frame sizes that they were asked for."""
    load, asked = PlanStore.load, []

    def load_other(plans, request):
        if request.tail != lacking:
            return load(plans, request)
        asked.append(request.frame_size)
        raise TensorRtError("it cannot build a plan of the model: no memory")

    monkeypatch.setattr(PlanStore, "load", load_other)
    return asked


@pytest.mark.parametrize("faster", ["mask", "logits"])
def test_memory_that_is_full_for_a_moment_changes_nothing(gpu, frame, monkeypatch, caplog, faster):
    monkeypatch.setattr(tail_choice, "read", lambda path: faster)
    engine = gpu.engine()
    engine.segment(frame((64, 64)))
    gpu.stub.fail(4, OUT_OF_MEMORY)  # in the middle of a pipeline's
    assert engine.segment(frame((64, 96))).shape == (64, 96) and engine.has_confidence
    assert f"the plan to {faster} for 96x64 is tried once more: " in caplog.text
    assert [plan.outputs[0].name for plan in gpu.tensorrt.plans] == [faster] * 2


@pytest.mark.parametrize("lacking", ["mask", "logits"])
def test_where_one_end_of_a_plan_cannot_be_had_the_other_runs(gpu, frame, cpu_engine, monkeypatch, caplog, lacking):
    refuse_plans_to(lacking, monkeypatch)
    engine = gpu.engine()
    mask = engine.segment(frame((64, 96)))
    assert (mask == cpu_engine.segment(frame((64, 96)))).mean() > 0.99
    assert f"frames of 96x64 go without the plan to {lacking}: it cannot build" in caplog.text
    assert engine.has_confidence == (lacking == "mask")
    assert not [*gpu.cache.glob("*.tail")], "tried again at the next start"


@pytest.mark.parametrize("faster", ["mask", "logits"])
def test_where_the_faster_plan_can_no_longer_be_had_the_other_runs(gpu, frame, monkeypatch, caplog, faster):
    gpu.engine().segment(frame((64, 96)))
    (kept,) = gpu.cache.glob("*.tail")
    note = json.dumps({**json.loads(kept.read_text()), "tail": faster})
    kept.write_text(note)
    with monkeypatch.context() as patch:
        refuse_plans_to(faster, patch)
        expected = gpu.engine().segment(frame((64, 96)))
        assert f"frames of 96x64 go without the plan to {faster}: it cannot build" in caplog.text
    assert kept.read_text() == note, "tried again at the next start"
    engine = gpu.engine()
    assert np.mean(engine.segment(frame((64, 96))) == expected) >= 0.999
    refuse_plans_to(faster, monkeypatch)
    engine._thread.call(engine._gpu.pipelines.drop, (64, 96))  # as by cameras of other sizes
    with pytest.raises(TensorRtError, match="it cannot build"):
        engine.segment(frame((64, 96)))
    assert np.array_equal(engine.segment(frame((64, 96))), expected)


def test_without_the_plan_to_the_logits_masks_go_on_without_confidence(gpu, frame, monkeypatch):
    engine = gpu.engine()
    asked = refuse_plans_to("logits", monkeypatch)
    with pytest.raises(TensorRtError, match="no memory; from now on there are masks without confidence"):
        engine.segment(frame((64, 96)), confidence=True)
    assert not engine.has_confidence
    with pytest.raises(EngineError, match="confidence needs our own kernel and a plan to the logits"):
        engine.segment(frame((64, 128)), confidence=True)
    assert engine.segment(frame((64, 96))).shape == (64, 96)
    assert asked == [(64, 96)], "a build may take minutes"


def test_without_either_end_the_reason_is_told(gpu, frame, monkeypatch):
    def fail(*_):
        raise TensorRtError("it cannot build a plan of the model")

    monkeypatch.setattr(PlanStore, "load", fail)
    with pytest.raises(TensorRtError, match="it cannot build"):
        gpu.engine().segment(frame((64, 96)))


def test_frames_that_keep_changing_size_do_not_fill_the_gpu(gpu, frame):
    engine = gpu.engine(compiles=False)
    for i in range(MOST_SIZES + 2):
        engine.segment(frame((64, 64 + 8 * i)))
    assert len(gpu.tensorrt.plans) == MOST_SIZES
    built = gpu.tensorrt.built
    engine.segment(frame((64, 64)))
    assert gpu.tensorrt.built == built, "the cache still has it"


def test_a_graph_replays_the_frame(gpu, frame, caplog):
    engine = gpu.engine(compiles=False)
    for _ in range(5):
        engine.segment(frame((64, 64)))
    assert gpu.tensorrt.enqueued == 2, "once to run, once to record"
    with caplog.at_level(logging.DEBUG):
        engine = gpu.engine(compiles=False, captures=False)
        for _ in range(5):
            engine.segment(frame((64, 64)))
    assert gpu.tensorrt.enqueued == 5
    assert caplog.text.count("without a CUDA graph: graphs are captured with cuda-python only") == 1


@pytest.mark.parametrize(
    "options",
    [{}, {"compiles": False}, {"has_uint8": False}, {"captures": False}],
    ids=["the faster", "upsampling in the plan", "TensorRT before 8.5", "without graphs"],
)
def test_a_batch_is_segmented_like_its_frames(gpu, cpu_engine, clip_frame, options):
    engine, (height, width) = gpu.engine(max_batch=3, **options), SIZES[2]
    frames = [clip_frame[50 * i : 50 * i + height, 90 * i : 90 * i + width] for i in range(5)]
    expected = [cpu_engine.segment(frame) for frame in frames]
    assert not np.array_equal(expected[0], expected[1])
    for batch in (3, 3, 3, 2, 2, 1, 3, 5):  # by a graph where it stays the same
        found = [result.mask for result in engine.segment_batch(frames[:batch])]
        assert len(found) == batch and all(mask.shape == SIZES[2] for mask in found)
        assert np.mean(np.stack(found) == expected[:batch]) >= 0.999
    engine.close()
    assert gpu.is_clean()


def test_a_batch_is_one_run_and_has_confidence(gpu, cpu_engine, clip_frame):
    engine = gpu.engine(has_uint8=False, max_batch=2)
    frames = [clip_frame[:64, :96], clip_frame[-64:, -96:]]
    engine.segment_batch(frames)  # which builds and loads the plan
    (up, down), runs = gpu.stub.copied, gpu.tensorrt.enqueued
    found = engine.segment_batch(frames, confidence=True)
    for (mask, confidence), frame in zip(found, frames):
        expected_mask, expected = cpu_engine.segment(frame, confidence=True)
        assert np.mean(mask == expected_mask) >= 0.999
        assert np.mean(np.abs(confidence.astype(int) - expected) <= 2) >= 0.999
    assert gpu.tensorrt.enqueued == runs + 1
    assert gpu.stub.copied == (up + 2 * 3 * 64 * 96, down + 2 * 2 * 64 * 96)


def test_the_logits_of_the_last_batch_are_copied_for_who_asks(gpu, cpu_engine, clip_frame, monkeypatch):
    monkeypatch.setattr(tail_choice, "read", lambda path: "logits")
    engine, size = gpu.engine(max_batch=2), (64, 96)
    assert engine.last_logits() is None, "before the first"
    frames = [clip_frame[:64, :96], clip_frame[-64:, -96:]]
    expected = [cpu_engine.frame_logits(frame, engine.network_size(*size)).copy() for frame in frames]
    assert np.array_equal(cpu_engine.last_logits()[0], expected[1])
    for batch in ((0, 1), (1,), (0, 1)):
        engine.segment_batch([frames[i] for i in batch])
        _, down = gpu.stub.copied
        logits = engine.last_logits()
        np.testing.assert_allclose(logits, [expected[i] for i in batch], atol=1e-3)
        assert gpu.stub.copied[1] == down + logits.nbytes
    engine.close()
    assert gpu.is_clean()


def test_a_plan_that_ends_with_the_mask_has_no_logits(gpu, frame):
    engine = gpu.engine(compiles=False)
    engine.segment(frame(SIZES[0]))
    assert engine.last_logits() is None


def test_logits_are_gone_after_a_failure(gpu, frame):
    engine = gpu.engine(has_uint8=False, captures=False)
    engine.segment(frame(SIZES[0]))
    assert engine.last_logits() is not None
    gpu.tensorrt.fails = True
    with pytest.raises(RuntimeError, match="TensorRT cannot run the plan"):
        engine.segment(frame(SIZES[0]))
    assert engine.last_logits() is None


def test_logits_that_are_no_numbers_are_told(monkeypatch, stub, card, frame, tmp_path):
    """Here of a weight that is too large. Each mask would be of the first class alone, the road in Cityscapes."""
    monkeypatch.setattr(tail_choice, "MEASURED_FRAMES", 2)
    gpu = Gpu(monkeypatch, stub, save_tiny_model(tmp_path / "tiny.onnx", card, one_weight=3e38), tmp_path / "plans")
    engine = gpu.engine()
    for _ in range(2):  # the node tries a frame again
        with pytest.raises(ModelError, match="the logits are not finite: use precision fp32; .* the training diverged"):
            engine.segment(frame(SIZES[0]))
    engine.close()
    assert gpu.is_clean()


def test_each_batch_size_has_a_graph_of_its_own(gpu, frame):
    engine = gpu.engine(compiles=False, max_batch=3)
    batches = [[frame((64, 64))] * count for count in (1, 2, 3)]
    for _ in range(4):
        for frames in batches:
            engine.segment_batch(frames)
    assert gpu.stub.alive()["executable"] == 3, "alternating cameras lose none"
    assert gpu.tensorrt.enqueued == 6, "once to run and once to record each"


def test_a_batch_is_checked(gpu, cpu_engine, frame):
    for engine in (cpu_engine, gpu.engine(max_batch=2)):
        assert engine.segment_batch([]) == []
        with pytest.raises(ValueError, match="expected frames of one size, got 64x64, 96x64; make a batch of each"):
            engine.segment_batch([frame((64, 96)), frame((64, 64))])
        with pytest.raises(ValueError, match="expected a frame of H x W x 3 uint8"):
            engine.segment_batch([frame((64, 64)), frame((64, 64))[..., :2]])
    assert gpu.tensorrt.built == 0


def test_an_engine_without_batches_takes_frames_one_after_another(cpu_engine, frame):
    frames = [frame((64, 64)), frame((64, 64))[::-1]]
    assert cpu_engine.max_batch == 1
    for found, one in zip(cpu_engine.segment_batch(frames, confidence=True), frames):
        mask, confidence = cpu_engine.segment(one, confidence=True)
        assert np.array_equal(found[0], mask) and np.array_equal(found[1], confidence)


def test_plans_for_batches_are_kept_apart(gpu, frame):
    gpu.engine(compiles=False).segment(frame((64, 64)))
    engine = gpu.engine(compiles=False, max_batch=2)
    engine.segment(frame((64, 64)))
    assert gpu.tensorrt.built == 1 and len(list(gpu.cache.glob("*.plan"))) == 2


def test_a_plan_built_ahead_for_batches_is_the_one_that_is_looked_up(gpu, model, frame, monkeypatch, capsys):
    gpu.engine()  # sets the fakes up
    monkeypatch.setattr(build_engine, "load_tensorrt", lambda: gpu.tensorrt)
    command = ["build-engine", model, "--size", "96x64", "--precision", "fp32", "--max-batch", 2, "--cache", gpu.cache]
    assert main([*map(str, command)]) == 0
    assert capsys.readouterr().out.count("built in") == 2
    engine = gpu.engine(max_batch=2)
    assert len(engine.segment_batch([frame((64, 96))] * 2)) == 2 and gpu.tensorrt.built == 0


def test_memory_is_told_but_nobody_waits_for_it(gpu, cpu_engine, frame):
    assert cpu_engine.memory_mib() is None
    engine, told = gpu.engine(compiles=False), []
    used, total = engine.memory_mib()
    assert total == 1024 and 100 <= used < 101
    build, busy = gpu.tensorrt.build, threading.Event()

    def build_slowly(*arguments, **options):
        with ThreadPoolExecutor(1) as pool:  # another thread asks meanwhile
            told.append(pool.submit(engine.memory_mib).result(timeout=5))
        return build(*arguments, **options)

    gpu.tensorrt.build = build_slowly
    engine.segment(frame((64, 64)))
    assert told == [None]
    with ThreadPoolExecutor(1) as pool:
        pool.submit(engine._thread.call, busy.wait)
        assert engine.memory_mib() is None
        busy.set()
    assert engine.memory_mib()[0] > used
    engine.close()
    assert engine.memory_mib() is None


def test_what_is_being_built_is_told(gpu, frame, monkeypatch):
    engine, told = gpu.engine(compiles=False), []
    build = gpu.tensorrt.build
    monkeypatch.setattr(gpu.tensorrt, "build", lambda *a, **k: told.append(engine.building) or build(*a, **k))
    assert engine.building == ""
    engine.segment(frame((64, 96)))
    assert told == ["a plan for 96x64"] and engine.building == ""


def test_stages_add_up_to_the_frame(gpu, frame):
    engine = gpu.engine(has_uint8=False)
    stages = engine.stage_milliseconds(frame((64, 64)))
    assert [*stages][1:-1] == ["copy to device", "to float", "resize", "network", "upsampling", "copy to host"]
    assert stages.pop("resize") >= 0 and all(milliseconds > 0 for milliseconds in stages.values())
    engine.close()
    assert gpu.is_clean()


def test_the_network_is_timed_by_a_plan_of_its_own_that_only_a_benchmark_builds(gpu, frame, monkeypatch):
    engine = gpu.engine(compiles=False)
    engine.segment(frame(SIZES[0]))
    assert gpu.tensorrt.built == 1
    for size, plans in ((SIZES[0], 2), (SIZES[0], 2), (SIZES[1], 3)):
        stages = engine.stage_milliseconds(frame(size))
        assert list(stages)[2:4] == ["resize and upsampling", "network"]
        assert len(gpu.tensorrt.plans) == plans, "one for each frame size, and the network's"
        (network,) = (plan for plan in gpu.tensorrt.plans if plan.inputs[0].name == "image")
        assert network.inputs[0].shape == (1, 3, *engine.network_size(*size)) and network.outputs[0].name == "logits"
    assert gpu.tensorrt.built == 4
    monkeypatch.setattr(NetworkTimer, "milliseconds", lambda timer: 1e9)
    stages = engine.stage_milliseconds(frame(SIZES[0]))
    assert stages["resize and upsampling"] == 0 and 0 < stages["network"] < 1e9, "never more than the plan took"


def test_closing_twice_is_harmless_and_a_closed_engine_says_so(gpu, frame):
    engine = gpu.engine(compiles=False)
    engine.segment(frame((64, 64)))
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="the tensorrt thread is closed"):
        engine.segment(frame((64, 64)))


def test_a_forgotten_engine_frees_the_gpu(gpu, frame):
    engine = gpu.engine(compiles=False)
    engine.segment(frame((64, 64)))
    assert gpu.stub.alive()
    del engine
    gc.collect()
    assert gpu.is_clean()


def test_an_ending_interpreter_still_frees_on_the_right_thread():
    program = """
        import threading, weakref
        from bisenet_ros.engines.tensorrt.worker_thread import WorkerThread
        class Owner: pass
        owner, worker = Owner(), WorkerThread("worker")
        weakref.finalize(owner, worker.call, lambda: print("freed on", threading.current_thread().name))
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, timeout=60)
    assert result.stdout.decode().strip() == "freed on worker"


def test_the_worker_passes_on_what_a_call_raises():
    worker = WorkerThread("worker")
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0)
    assert worker.call(lambda: worker.call(threading.current_thread)).name == "worker", "a call within a call"
    worker.close()
