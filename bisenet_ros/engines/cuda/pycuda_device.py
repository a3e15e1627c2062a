"""The GPU through pycuda: the only choice with CUDA 10, as on a Jetson TX2."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np
import pycuda.driver as driver

from bisenet_ros.engines.cuda.device import CudaDevice, Graph, Kernel


class PycudaDevice(CudaDevice):
    """The first GPU's primary context, the one that TensorRT and others share.

    pycuda frees what is no longer referred to, so that everything is kept under its address or handle.
    """

    def __init__(self) -> None:
        driver.init()
        device = driver.Device(0)
        self.name = device.name()
        self.compute_capability = device.compute_capability()
        self._context = device.retain_primary_context()
        self._context.push()
        self._memory: Dict[int, Any] = {}
        self._streams: Dict[int, Any] = {}
        self._events: Dict[int, Any] = {}
        self._modules: List[Any] = []

    def memory(self) -> Tuple[int, int]:
        return driver.mem_get_info()

    def allocate(self, size: int) -> int:
        memory = driver.mem_alloc(size)
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        self._memory.pop(address).free()

    def allocate_pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        return driver.pagelocked_empty(shape, np.uint8)

    def free_pinned(self, array: np.ndarray) -> None:
        memory: Any = array.base
        memory.free()

    def create_stream(self) -> int:
        stream = driver.Stream()
        self._streams[stream.handle] = stream
        return stream.handle

    def destroy_stream(self, stream: int) -> None:
        del self._streams[stream]

    def synchronize(self, stream: int) -> None:
        self._streams[stream].synchronize()

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        driver.memcpy_htod_async(address, array, self._streams[stream])

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        driver.memcpy_dtoh_async(array, address, self._streams[stream])

    def create_event(self) -> int:
        event = driver.Event()
        self._events[id(event)] = event
        return id(event)

    def destroy_event(self, event: int) -> None:
        del self._events[event]

    def record(self, event: int, stream: int) -> None:
        self._events[event].record(self._streams[stream])

    def elapsed(self, begin: int, end: int) -> float:
        return self._events[begin].time_till(self._events[end])

    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        raise NotImplementedError("graphs are captured with cuda-python only")

    def load_kernel(self, code: bytes, name: str) -> Kernel:
        module = driver.module_from_buffer(code)
        self._modules.append(module)
        return _PycudaKernel(module.get_function(name), self._streams)

    def close(self) -> None:
        self._modules.clear()
        self._context.pop()
        self._context.detach()


class _PycudaKernel(Kernel):
    def __init__(self, function: Any, streams: Dict[int, Any]) -> None:
        self._function = function
        self._streams = streams

    def launch(
        self, grid: Tuple[int, int, int], block: Tuple[int, int, int], arguments: Sequence[np.generic], stream: int
    ) -> None:
        self._function(*arguments, grid=grid, block=block, stream=self._streams[stream])
