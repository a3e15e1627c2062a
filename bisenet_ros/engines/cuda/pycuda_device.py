# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The GPU through pycuda: the only choice with CUDA 10, as on a Jetson TX2."""

from contextlib import ExitStack
from typing import Any, Dict, Sequence, Tuple

import numpy as np
import pycuda.driver as driver

from bisenet_ros.engines.cuda.compiler import compile_with_nvcc
from bisenet_ros.engines.cuda.device import CudaDevice, Dim3


class PycudaDevice(CudaDevice):
    """The first GPU's primary context, the one that TensorRT and others share.

    pycuda frees what is no longer referred to, so that streams and events are kept under their handles.
    """

    def __init__(self) -> None:
        super().__init__()
        driver.init()
        device = driver.Device(0)
        self.name = device.name()
        self.compute_capability = device.compute_capability()
        self._context = device.retain_primary_context()
        self._context.push()
        self._streams: Dict[int, Any] = {}
        self._events: Dict[int, Any] = {}

    def memory(self) -> Tuple[int, int]:
        return driver.mem_get_info()

    def allocate(self, size: int, owner: ExitStack) -> int:
        memory = driver.mem_alloc(size)
        owner.callback(memory.free)
        return int(memory)

    def allocate_pinned(self, shape: Tuple[int, ...], owner: ExitStack) -> np.ndarray:
        array = driver.pagelocked_empty(shape, np.uint8)
        owner.callback(array.base.free)
        return array

    def create_stream(self, owner: ExitStack) -> int:
        stream = driver.Stream()
        self._streams[stream.handle] = stream
        owner.callback(self._streams.pop, stream.handle)
        return stream.handle

    def synchronize(self, stream: int) -> None:
        self._streams[stream].synchronize()

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        driver.memcpy_htod_async(address, array, self._streams[stream])

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        driver.memcpy_dtoh_async(array, address, self._streams[stream])

    def create_event(self, owner: ExitStack) -> int:
        event = driver.Event()
        self._events[id(event)] = event
        owner.callback(self._events.pop, id(event))
        return id(event)

    def record(self, event: int, stream: int) -> None:
        self._events[event].record(self._streams[stream])

    def elapsed(self, begin: int, end: int) -> float:
        return self._events[begin].time_till(self._events[end])

    def load_kernel(self, name: str) -> Any:
        module = driver.module_from_buffer(compile_with_nvcc(name, self.compute_capability))
        self._modules.append(module)
        return module.get_function(name)

    def launch(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Sequence[np.generic], stream: int) -> None:
        kernel(*arguments, grid=grid, block=block, stream=self._streams[stream])

    def close(self) -> None:
        self._modules.clear()
        self._context.pop()
        self._context.detach()
