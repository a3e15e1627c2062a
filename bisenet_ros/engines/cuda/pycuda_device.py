# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The GPU through pycuda: the only choice with CUDA 10, as on a Jetson TX2."""

from contextlib import ExitStack, contextmanager
from typing import Any, Dict, Iterator, Sequence, Tuple

import numpy as np
import pycuda.driver as driver

from bisenet_ros.engines.cuda.compiler import compile_with_nvcc
from bisenet_ros.engines.cuda.device import CudaDevice, Dim3
from bisenet_ros.engines.cuda.libcuda import primary_context

COHERENT = (7, 2)
"""From this compute capability on the CPU of a Jetson caches pinned memory; on a TX2, reading a mask there takes ms."""


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises pycuda's errors, which derive from Exception alone, as RuntimeError; also a decorator."""
    try:
        yield
    except driver.Error as error:
        raise RuntimeError(f"CUDA answers {error}") from error


class PycudaDevice(CudaDevice):
    """The first GPU's primary context, the one that TensorRT and others share.

    pycuda frees what is no longer referred to, so that streams and events are kept under their handles.
    """

    @translated_errors()
    def __init__(self) -> None:
        super().__init__()
        primary_context()
        driver.init()
        device, attributes = driver.Device(0), driver.device_attribute
        self.name = device.name()
        self.compute_capability = device.compute_capability()
        self.multiprocessors = device.get_attribute(attributes.MULTIPROCESSOR_COUNT)
        shares_memory = bool(device.get_attribute(attributes.INTEGRATED))
        self._pins = self.compute_capability >= COHERENT or not shares_memory
        self._streams: Dict[int, Any] = {}
        self._events: Dict[int, Any] = {}
        context = device.retain_primary_context()
        self._owner.callback(translated_errors()(context.detach))
        context.push()
        self._owner.callback(translated_errors()(context.pop))

    @translated_errors()
    def memory(self) -> Tuple[int, int]:
        return driver.mem_get_info()

    @translated_errors()
    def allocate(self, size: int, owner: ExitStack) -> int:
        memory = driver.mem_alloc(size)
        owner.callback(translated_errors()(memory.free))
        return int(memory)

    @translated_errors()
    def allocate_pinned(self, shape: Tuple[int, ...], owner: ExitStack) -> np.ndarray:
        if not self._pins:
            return np.empty(shape, np.uint8)
        array = driver.pagelocked_empty(shape, np.uint8)
        owner.callback(translated_errors()(array.base.free))
        return array

    @translated_errors()
    def create_stream(self, owner: ExitStack) -> int:
        stream = driver.Stream()
        self._streams[stream.handle] = stream
        owner.callback(self._streams.pop, stream.handle)
        return stream.handle

    @translated_errors()
    def synchronize(self, stream: int) -> None:
        self._streams[stream].synchronize()

    @translated_errors()
    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        driver.memcpy_htod_async(address, array, self._streams[stream])

    @translated_errors()
    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        driver.memcpy_dtoh_async(array, address, self._streams[stream])

    @translated_errors()
    def create_event(self, owner: ExitStack) -> int:
        event = driver.Event()
        self._events[id(event)] = event
        owner.callback(self._events.pop, id(event))
        return id(event)

    @translated_errors()
    def record(self, event: int, stream: int) -> None:
        self._events[event].record(self._streams[stream])

    @translated_errors()
    def elapsed(self, begin: int, end: int) -> float:
        return self._events[begin].time_till(self._events[end])

    @translated_errors()
    def load_kernel(self, name: str) -> Any:
        module = driver.module_from_buffer(compile_with_nvcc(name, self.compute_capability))
        return module.get_function(name)  # which keeps the module

    @translated_errors()
    def launch(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Sequence[np.generic], stream: int) -> None:
        kernel(*arguments, grid=grid, block=block, stream=self._streams[stream])
