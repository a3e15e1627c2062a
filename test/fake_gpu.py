# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A fake GPU: memory of the host, kernels compiled by g++, plans run by ONNX Runtime.

It enforces a GPU's rules: one thread uses it, work waits on its stream until that is synchronized, nothing is read or
written beyond what was allocated, and what is still allocated is known.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
import threading
import time
from collections import deque
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import onnxruntime

from bisenet_ros.engines.cuda.device import CudaDevice, Dim3, GpuError
from bisenet_ros.engines.tensorrt.api import BuiltPlan
from bisenet_ros.engines.tensorrt.plan import PlanTensor, TensorRtError

CUDA = Path(__file__).parents[1] / "bisenet_ros" / "engines" / "cuda"
DTYPES = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(float)": np.float32}
Work = Callable[[], None]

CUDA_ON_THE_HOST = """\
#include <math.h>
#include <stddef.h>
#include <utility>
#define __device__
#define __global__
struct Place { unsigned x, y, z; };
static Place blockIdx, threadIdx, blockDim;
#include SOURCE
template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
  kernel(*(A *)arguments[I]...);
}
template <class... A>
static void call(void (*kernel)(A...), void **arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>());
}
extern "C" void launch(const unsigned *grid, const unsigned *block, void **arguments) {
  blockDim = Place{block[0], block[1], block[2]};
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
        for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
          for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
            for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x) call(KERNEL, arguments);
}
"""


@lru_cache(maxsize=None)
def compile_for_host(name: str) -> ctypes.CDLL:
    """The package's file `name`.cu as a library, with products and sums kept apart as on the GPU."""
    folder = Path(tempfile.mkdtemp(prefix="fake_gpu"))
    (folder / "kernel.cpp").write_text(CUDA_ON_THE_HOST)
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-ffp-contract=off", "-shared", "-fPIC"]
    options += [f'-DSOURCE="{CUDA / name}.cu"', f"-DKERNEL={name}"]
    subprocess.run(["g++", *options, "-o", folder / "kernel.so", folder / "kernel.cpp"], check=True)
    return ctypes.CDLL(str(folder / "kernel.so"))


class FakeDevice(CudaDevice):
    """See above.

    Args:
        captures: it has graphs.
        compiles: it has a compiler of kernels.

    Attributes:
        copied: how many bytes went up and down.
        memory_in_use, pinned_in_use, graphs_in_use, streams, events: what was not freed yet.
    """

    def __init__(self, *, captures: bool = True, compiles: bool = True) -> None:
        super().__init__()
        self.name, self.compute_capability = "host", (9, 0)
        self.thread = threading.get_ident()
        self.memory_in_use: Dict[int, np.ndarray] = {}
        self.pinned_in_use: Dict[int, np.ndarray] = {}
        self.graphs_in_use: List[List[Work]] = []
        self.streams: Dict[int, Deque[Work]] = {}
        self.events: Dict[int, float] = {}
        self.copied = {"up": 0, "down": 0}
        self.closed = False
        self._captures, self._compiles = captures, compiles
        self._captured: Optional[List[Work]] = None
        self._handles = iter(range(1, 10**9))

    def __getattribute__(self, name: str) -> Any:
        if name in vars(CudaDevice) and not name.startswith("_"):
            assert threading.get_ident() == self.thread, f"{name} on a thread that does not own the device"
        return super().__getattribute__(name)

    @property
    def in_use(self) -> int:
        owned = (self.memory_in_use, self.pinned_in_use, self.graphs_in_use, self.streams, self.events)
        return sum(map(len, owned))

    def view(self, address: int, size: int) -> np.ndarray:
        memory = self.memory_in_use[address]
        assert memory.nbytes >= size, f"{size} bytes of an allocation of {memory.nbytes}"
        return memory[:size]

    def put(self, stream: int, work: Work) -> None:
        (self.streams[stream] if self._captured is None else self._captured).append(work)

    def memory(self) -> Tuple[int, int]:
        return 3 << 30, 4 << 30

    def freed(self, owner: ExitStack, free: Callable[..., Any], *arguments: Any) -> None:
        """Has something freed, on the thread that owns the device, when its owner is closed."""

        def run() -> None:
            assert threading.get_ident() == self.thread, "freed on a thread that does not own the device"
            free(*arguments)

        owner.callback(run)

    def allocate(self, size: int, owner: ExitStack) -> int:
        memory = np.full(size, 0xAB, np.uint8)
        self.memory_in_use[memory.ctypes.data] = memory
        self.freed(owner, self.memory_in_use.pop, memory.ctypes.data)
        return memory.ctypes.data

    def allocate_pinned(self, shape: Tuple[int, ...], owner: ExitStack) -> np.ndarray:
        array = np.full(shape, 0xCD, np.uint8)
        self.pinned_in_use[array.ctypes.data] = array
        self.freed(owner, self.pinned_in_use.pop, array.ctypes.data)
        return array

    def create_stream(self, owner: ExitStack) -> int:
        stream = next(self._handles)
        self.streams[stream] = deque()
        self.freed(owner, self.streams.pop, stream)
        return stream

    def synchronize(self, stream: int) -> None:
        while self.streams[stream]:
            self.streams[stream].popleft()()

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        assert array.flags.c_contiguous

        def run() -> None:
            self.view(address, array.nbytes)[:] = array.reshape(-1).view(np.uint8)
            self.copied["up"] += array.nbytes

        self.put(stream, run)

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        assert array.flags.c_contiguous

        def run() -> None:
            array.reshape(-1).view(np.uint8)[:] = self.view(address, array.nbytes)
            self.copied["down"] += array.nbytes

        self.put(stream, run)

    def create_event(self, owner: ExitStack) -> int:
        event = next(self._handles)
        self.events[event] = 0.0
        self.freed(owner, self.events.pop, event)
        return event

    def record(self, event: int, stream: int) -> None:
        self.put(stream, lambda: self.events.__setitem__(event, time.perf_counter()))

    def elapsed(self, begin: int, end: int) -> float:
        return 1000 * (self.events[end] - self.events[begin])

    def capture(self, stream: int, enqueue: Work, owner: ExitStack) -> Work:
        if not self._captures:
            raise NotImplementedError("the host captures no graphs")
        self._captured = []
        try:
            enqueue()
            graph = self._captured
        finally:
            self._captured = None
        self.graphs_in_use.append(graph)
        self.freed(owner, self.graphs_in_use.remove, graph)
        return lambda: self.streams[stream].extend(graph)

    def load_kernel(self, name: str) -> ctypes.CDLL:
        if not self._compiles:
            raise GpuError("no compiler here")
        return compile_for_host(name)

    def launch(
        self, kernel: ctypes.CDLL, grid: Dim3, block: Dim3, arguments: Sequence[np.generic], stream: int
    ) -> None:
        values = [np.array(argument) for argument in arguments]
        for value in values:
            assert value.dtype != np.uint64 or value == 0 or int(value) in self.memory_in_use

        def run() -> None:
            places = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
            sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
            kernel.launch(*sizes, places)

        self.put(stream, run)

    def close(self) -> None:
        self.closed = True


class FakeTensorRt:
    """What the engine uses of `TensorRt`: a plan is the wrapped ONNX itself, and ONNX Runtime runs it.

    Attributes:
        built: how many plans were built.
        plans: those that are loaded.
        fails: the next run of a plan raises.
    """

    flavor, version, name = "tensorrt", "0.host", "TensorRT on the host"
    has_fp16_flag, bindings = True, False

    def __init__(self, *, has_uint8: bool = True) -> None:
        self.has_uint8 = has_uint8
        self.built = 0
        self.enqueued = 0
        self.fails = False
        self.plans: List[FakePlan] = []
        self.device: FakeDevice

    def build(self, model: bytes, *, precision: str, max_batch: int, timing_cache: bytes = b"") -> BuiltPlan:
        self.built += 1
        return BuiltPlan(f"{max_batch}\n".encode() + model, b"")

    def load(self, plan: bytes) -> FakePlan:
        self.plans.append(FakePlan(self, plan))
        return self.plans[-1]


class FakePlan:
    def __init__(self, tensorrt: FakeTensorRt, plan: bytes) -> None:
        self._tensorrt = tensorrt
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        max_batch, _, model = plan.partition(b"\n")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._max_batch = int(max_batch)
        except Exception as error:  # ONNX Runtime has many
            raise TensorRtError(f"it does not take the plan: {error}") from error
        self.inputs, self.outputs = (
            [PlanTensor(value.name, _shape(value.shape), np.dtype(DTYPES[value.type])) for value in values]
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        self._batch, self._shapes_set = 0, 0

    def prepare(self, batch: int) -> None:
        assert 1 <= batch <= self._max_batch and (batch == 1 or self.inputs[0].shape[0] == -1)
        self._batch = batch
        self._shapes_set += 1

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        if self._tensorrt.fails:
            self._tensorrt.fails = False
            raise RuntimeError("TensorRT cannot run the plan")
        self._tensorrt.enqueued += 1
        shapes_set = self._shapes_set
        self._tensorrt.device.put(stream, lambda: self._run(addresses, shapes_set))

    def _run(self, addresses: Dict[str, int], shapes_set: int) -> None:
        assert self._batch and shapes_set == self._shapes_set, "a graph holds for the shape that it was captured with"
        (given,), (wanted,) = (
            [tensor._replace(shape=(self._batch, *tensor.shape[1:])) for tensor in tensors]
            for tensors in (self.inputs, self.outputs)
        )
        values = self._tensorrt.device.view(addresses[given.name], _bytes(given)).view(given.dtype).reshape(given.shape)
        (result,) = self._session.run(None, {given.name: values})
        assert result.shape == wanted.shape and result.dtype == wanted.dtype
        self._tensorrt.device.view(addresses[wanted.name], _bytes(wanted))[:] = result.reshape(-1).view(np.uint8)

    def close(self) -> None:
        self._tensorrt.plans.remove(self)


def _shape(shape: Sequence[Union[int, str]]) -> Tuple[int, ...]:
    """A batch that changes has a name in ONNX Runtime, and is -1 in TensorRT."""
    return tuple(-1 if isinstance(side, str) else side for side in shape)


def _bytes(tensor: PlanTensor) -> int:
    return int(np.prod(tensor.shape)) * tensor.dtype.itemsize
