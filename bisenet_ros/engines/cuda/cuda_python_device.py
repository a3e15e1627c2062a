# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The GPU through cuda-python, NVIDIA's own bindings of the driver's API."""

import ctypes
from contextlib import ExitStack
from typing import Any, Callable, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.compiler import check, compile_with_nvrtc
from bisenet_ros.engines.cuda.device import CudaDevice, Dim3
from bisenet_ros.engines.cuda.libcuda import primary_context, synchronize

try:
    from cuda.bindings import driver
except ImportError:  # before 12.6
    from cuda import cuda as driver


class CudaPythonDevice(CudaDevice):
    """The first GPU's primary context, the one that TensorRT and others share."""

    def __init__(self) -> None:
        super().__init__()
        context = primary_context()
        check(driver.cuInit(0))
        device, attributes = check(driver.cuDeviceGet(0)), driver.CUdevice_attribute
        major, minor, self.multiprocessors = (
            int(check(driver.cuDeviceGetAttribute(attribute, device)))
            for attribute in (
                attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
                attributes.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT,
            )
        )
        self.name = check(driver.cuDeviceGetName(256, device)).split(b"\0")[0].decode()
        self.compute_capability = major, minor
        check(driver.cuCtxSetCurrent(driver.CUcontext(context)))
        self._owner.callback(lambda: check(driver.cuCtxSetCurrent(driver.CUcontext(0))))

    def memory(self) -> Tuple[int, int]:
        status, free, total = driver.cuMemGetInfo()
        check((status,))
        return int(free), int(total)

    def allocate(self, size: int, owner: ExitStack) -> int:
        address = int(check(driver.cuMemAlloc(size)))
        owner.callback(lambda: check(driver.cuMemFree(address)))
        return address

    def allocate_pinned(self, shape: Tuple[int, ...], owner: ExitStack) -> np.ndarray:
        size = int(np.prod(shape))
        address = int(check(driver.cuMemHostAlloc(size, 0)))
        owner.callback(lambda: check(driver.cuMemFreeHost(address)))
        return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address)).reshape(shape)

    def create_stream(self, owner: ExitStack) -> int:
        stream = int(check(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value)))
        owner.callback(lambda: check(driver.cuStreamDestroy(stream)))
        return stream

    def synchronize(self, stream: int) -> None:
        synchronize(stream)

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        check(driver.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, stream))

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        check(driver.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, stream))

    def create_event(self, owner: ExitStack) -> int:
        event = int(check(driver.cuEventCreate(0)))
        owner.callback(lambda: check(driver.cuEventDestroy(event)))
        return event

    def record(self, event: int, stream: int) -> None:
        check(driver.cuEventRecord(event, stream))

    def elapsed(self, begin: int, end: int) -> float:
        return float(check(driver.cuEventElapsedTime(begin, end)))

    def capture(self, stream: int, enqueue: Callable[[], None], owner: ExitStack) -> Callable[[], None]:
        # Other threads of the process may go on using CUDA meanwhile.
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        check(driver.cuStreamBeginCapture(stream, mode))
        try:
            enqueue()
        except Exception:
            status, graph = driver.cuStreamEndCapture(stream)
            if status == 0:
                driver.cuGraphDestroy(graph)
            raise
        graph = check(driver.cuStreamEndCapture(stream))
        # CUDA 11's cuGraphInstantiate takes other arguments; the name with flags has those of CUDA 12's.
        instantiate = getattr(driver, "cuGraphInstantiateWithFlags", driver.cuGraphInstantiate)
        with ExitStack() as graph_owner:
            graph_owner.callback(lambda: check(driver.cuGraphDestroy(graph)))
            executable = check(instantiate(graph, 0))
            owner.callback(lambda: check(driver.cuGraphExecDestroy(executable)))
        return lambda: check(driver.cuGraphLaunch(executable, stream))

    def load_kernel(self, name: str) -> Any:
        module = check(driver.cuModuleLoadData(compile_with_nvrtc(name, self.compute_capability)))
        self._owner.callback(lambda: check(driver.cuModuleUnload(module)))
        return check(driver.cuModuleGetFunction(module, name.encode()))

    def launch(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Sequence[np.generic], stream: int) -> None:
        values = [np.array(argument) for argument in arguments]
        addresses = np.array([value.ctypes.data for value in values], np.uint64)
        check(driver.cuLaunchKernel(kernel, *grid, *block, 0, stream, addresses.ctypes.data, 0))
