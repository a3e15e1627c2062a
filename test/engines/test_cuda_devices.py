# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The GPU through the real cuda-python and, where it is installed, the real pycuda, over the stub libcuda.so.1."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Callable

import numpy as np
import pytest
from stub_gpu import ILLEGAL_ADDRESS, KINDS, LAUNCH_FAILED, OUT_OF_MEMORY, StubGpu

from bisenet_ros.engines.cuda import open_device as cuda
from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.kernels import bytes_to_floats
from bisenet_ros.engines.cuda.libcuda import SCHEDULE_BLOCKING_SYNC, fault_that_ends_the_process

COUNT = 256


@pytest.fixture
def cuda_python(stub) -> None:
    """For what pycuda has not."""


class Frame:
    """What happens to a frame: up, a kernel, down."""

    def __init__(self, device: CudaDevice, owner: ExitStack) -> None:
        self._device = device
        self.stream = device.create_stream(owner)
        self._bytes, self._floats = device.allocate(COUNT, owner), device.allocate(4 * COUNT, owner)
        self._given = device.allocate_pinned((COUNT,), owner)
        self._given[:] = np.arange(COUNT)
        self._result = device.allocate_pinned((4 * COUNT,), owner)

    def enqueue(self) -> None:
        self._device.upload(self._bytes, self._given, self.stream)
        bytes_to_floats(self._device, self._bytes, self._floats, COUNT, self.stream)
        self._device.download(self._result, self._floats, self.stream)

    def take_result(self) -> np.ndarray:
        """The floats that came down; they are gone afterwards."""
        result = self._result.view(np.float32).copy()
        self._result[:] = 0
        return result


def live_once(*, during: Callable[[CudaDevice, Frame], None] = lambda *_: None) -> np.ndarray:
    """A device from its opening to its closing; the frame that it made."""
    device = cuda.open_device()
    with ExitStack() as owner:
        owner.callback(device.close)
        frame = Frame(device, owner)
        frame.enqueue()
        device.synchronize(frame.stream)
        during(device, frame)
        return frame.take_result()


def test_a_frame_goes_up_through_a_kernel_and_down(backend, stub):
    assert np.array_equal(live_once(), np.arange(COUNT))
    assert not stub.alive() and stub.pageable_copies == 0


def test_work_waits_for_its_stream(backend, stub):
    def during(device: CudaDevice, frame: Frame) -> None:
        frame.take_result()
        frame.enqueue()
        assert not frame.take_result().any()
        device.synchronize(frame.stream)

    assert np.array_equal(live_once(during=during), np.arange(COUNT))


def test_what_the_gpu_is(backend, stub):
    stub.configure((8, 7))
    device = cuda.open_device()
    assert (device.name, device.compute_capability, device.multiprocessors) == ("Stub GPU", (8, 7), 4)
    free, total = device.memory()
    assert 0 < free < total
    device.close()


def test_the_context_stays_until_the_process_ends(backend, stub):
    """Released by all it would be reset, and TensorRT's libraries would still count on it."""
    for _ in range(3):
        live_once()
    assert (stub.retained, stub.context_resets) == (1, 0)


def test_waiting_sleeps(backend, stub):
    live_once()
    assert stub.scheduling == SCHEDULE_BLOCKING_SYNC


def test_waiting_leaves_pythons_lock_to_others(backend, stub):
    steps, waited = [], []

    def during(device: CudaDevice, frame: Frame) -> None:
        def count() -> None:
            while not waited:
                steps.append(None)
                done.wait(0.005)

        done = threading.Event()
        thread = threading.Thread(target=count)
        stub.configure(wait=0.3)
        thread.start()
        device.synchronize(frame.stream)
        waited.append(len(steps))
        stub.configure()
        done.set()
        thread.join()

    live_once(during=during)
    assert waited[0] > 10


def test_time_is_measured_between_two_marks(backend, stub):
    def during(device: CudaDevice, frame: Frame) -> None:
        with ExitStack() as owner:
            begin, end = device.create_event(owner), device.create_event(owner)
            device.record(begin, frame.stream)
            frame.enqueue()
            device.record(end, frame.stream)
            device.synchronize(frame.stream)
            assert 0 < device.elapsed(begin, end) < 1000

    live_once(during=during)
    assert not stub.alive()


def test_any_error_at_any_call_is_a_runtime_error_with_cudas_reason(backend, stub):
    """pycuda's own errors derive from Exception alone."""
    live_once()
    calls = stub.calls()
    failed = set()
    for i, name in enumerate(calls):
        if name.startswith(("cuDevicePrimaryCtxSetFlags", "cuCtxGet", "cuCtxSynchronize", "cuFuncGetAttribute")):
            continue  # whose answer nobody needs
        stub.reset()
        stub.fail(i, OUT_OF_MEMORY)
        try:
            live_once()
        except RuntimeError as error:
            assert "MEMORY" in str(error).upper(), (name, error)
            failed.add(name)
    # pycuda collects garbage and allocates again; where something cannot be freed, it prints a warning.
    quiet = ("cuMemAlloc", "cuMemFree", "cuStreamDestroy", "cuModuleUnload") if backend == "pycuda" else ()
    loud = {name for name in calls if name.startswith(("cuMem", "cuStream", "cuLaunch", "cuModule"))}
    assert failed >= {name for name in loud if not name.startswith(quiet)}


@pytest.mark.parametrize("after", range(1, 9))
def test_closing_frees_all_but_what_fails(backend, stub, after):
    """At most one thing stays behind where one call fails."""
    live_once()
    closing = len(stub.calls())
    stub.reset()
    stub.fail(closing - after, OUT_OF_MEMORY)
    try:
        live_once()
    except RuntimeError:
        pass
    assert sum(stub.alive().values()) <= 1


@pytest.mark.parametrize("error, name", [(ILLEGAL_ADDRESS, "ILLEGAL_ADDRESS"), (LAUNCH_FAILED, "LAUNCH_FAILED")])
def test_a_fault_that_ends_the_process_is_told(backend, stub, error, name):
    told = []

    def during(device: CudaDevice, frame: Frame) -> None:
        told.append(fault_that_ends_the_process())
        stub.fail(0, error)
        with pytest.raises(RuntimeError):
            device.synchronize(frame.stream)
        told.append(fault_that_ends_the_process())

    with pytest.raises(RuntimeError):  # of freeing
        live_once(during=during)
    assert told == ["", f"CUDA_ERROR_{name}"]


@pytest.mark.parametrize("compute_capability, pinned", [((6, 2), 0), ((7, 2), 2), ((8, 7), 2)])
def test_a_tx2_reads_from_cached_memory(backend, stub, compute_capability, pinned):
    if backend != "pycuda":
        pytest.skip("a TX2 has CUDA 10, and cuda-python begins with 11")
    stub.configure(compute_capability)
    alive = []
    assert np.array_equal(live_once(during=lambda *_: alive.append(stub.alive())), np.arange(COUNT))
    assert alive[0].get("pinned", 0) == pinned


def test_a_graph_replays_what_it_recorded(cuda_python, stub):
    def during(device: CudaDevice, frame: Frame) -> None:
        frame.take_result()
        with ExitStack() as owner:
            launch = device.capture(frame.stream, frame.enqueue, owner)
            assert stub.alive()["executable"] == 1 and "graph" not in stub.alive()
            device.synchronize(frame.stream)
            assert not frame.take_result().any(), "recording runs nothing"
            for _ in range(2):
                launch()
                device.synchronize(frame.stream)
                assert np.array_equal(frame.take_result(), np.arange(COUNT))
        frame.enqueue()
        device.synchronize(frame.stream)

    live_once(during=during)
    assert not stub.alive()


def test_a_capture_that_fails_leaks_no_graph(cuda_python, stub):
    def during(device: CudaDevice, frame: Frame) -> None:
        def fail() -> None:
            frame.enqueue()
            raise RuntimeError("TensorRT cannot run the plan")

        def allocate() -> None:
            device.allocate(1, owner)

        with ExitStack() as owner:
            with pytest.raises(RuntimeError, match="TensorRT cannot run the plan"):
                device.capture(frame.stream, fail, owner)
            with pytest.raises(RuntimeError, match="CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"):
                device.capture(frame.stream, allocate, owner)
            assert not {"graph", "executable"} & set(stub.alive())
        frame.enqueue()
        device.synchronize(frame.stream)

    assert np.array_equal(live_once(during=during), np.arange(COUNT))


def test_pycuda_has_no_graphs_and_says_so(backend, stub):
    if backend == "pycuda":
        with pytest.raises(NotImplementedError, match="with cuda-python only"):
            live_once(during=lambda device, frame: device.capture(frame.stream, frame.enqueue, ExitStack()))


# The stub itself: what it finds fault with.


@pytest.mark.parametrize(
    "mistake, answer",
    [
        (
            lambda device, frame: device.upload(frame._bytes, np.zeros(COUNT + 1, np.uint8), frame.stream),
            "INVALID_VALUE",
        ),
        (lambda device, frame: device.download(np.zeros(1, np.uint8), 0x1234, frame.stream), "INVALID_VALUE"),
        (lambda device, frame: device.synchronize(0x1234), "INVALID_HANDLE"),
        (lambda device, frame: bytes_to_floats(device, 0x1234, frame._floats, 1, frame.stream), "ILLEGAL_ADDRESS"),
        (lambda device, frame: device.allocate(1 << 40, ExitStack()), "OUT_OF_MEMORY"),
    ],
    ids=["copy too long", "copy from nowhere", "no stream", "kernel reads from nowhere", "too much memory"],
)
def test_the_stub_finds_mistakes(cuda_python, stub, mistake, answer):
    with pytest.raises(RuntimeError, match=f"CUDA_ERROR_{answer}"):
        live_once(during=mistake)


def test_the_stub_knows_its_thread_and_what_is_left(cuda_python, stub: StubGpu):
    errors = []

    def during(device: CudaDevice, frame: Frame) -> None:
        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="CUDA_ERROR_INVALID_CONTEXT") as error:
                frame.enqueue()
            errors.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert set(stub.alive()) == set(KINDS) - {"event", "graph", "executable"}

    live_once(during=during)
    assert len(errors) == 1
