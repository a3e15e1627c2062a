"""The GPU through cuda-python, NVIDIA's own bindings of the driver's API."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, List, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.device import CudaDevice, Graph, Kernel

try:
    from cuda.bindings import driver
except ImportError:  # before 12.6
    from cuda import cuda as driver


def check(result: Tuple[Any, ...]) -> Any:
    """The value of a driver call's (status, value).

    Raises:
        RuntimeError: the call failed; CUDA's name of the error.
    """
    status, *values = result
    if status != driver.CUresult.CUDA_SUCCESS:
        raise RuntimeError(f"CUDA answers {status.name}")
    return values[0] if values else None


class CudaPythonDevice(CudaDevice):
    """The first GPU's primary context, the one that TensorRT and others share."""

    def __init__(self) -> None:
        check(driver.cuInit(0))
        self._device = check(driver.cuDeviceGet(0))
        self._modules: List[Any] = []
        attribute = driver.CUdevice_attribute
        self.name = check(driver.cuDeviceGetName(256, self._device)).split(b"\0")[0].decode()
        self.compute_capability = (
            int(
                check(driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, self._device))
            ),
            int(
                check(driver.cuDeviceGetAttribute(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, self._device))
            ),
        )
        check(driver.cuCtxSetCurrent(check(driver.cuDevicePrimaryCtxRetain(self._device))))

    def memory(self) -> Tuple[int, int]:
        status, free, total = driver.cuMemGetInfo()
        check((status,))
        return int(free), int(total)

    def allocate(self, size: int) -> int:
        return int(check(driver.cuMemAlloc(size)))

    def free(self, address: int) -> None:
        check(driver.cuMemFree(address))

    def allocate_pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape))
        memory = (ctypes.c_ubyte * size).from_address(int(check(driver.cuMemHostAlloc(size, 0))))
        return np.ctypeslib.as_array(memory).reshape(shape)

    def free_pinned(self, array: np.ndarray) -> None:
        check(driver.cuMemFreeHost(array.ctypes.data))

    def create_stream(self) -> int:
        return int(check(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value)))

    def destroy_stream(self, stream: int) -> None:
        check(driver.cuStreamDestroy(stream))

    def synchronize(self, stream: int) -> None:
        check(driver.cuStreamSynchronize(stream))

    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        check(driver.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, stream))

    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        check(driver.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, stream))

    def create_event(self) -> int:
        return int(check(driver.cuEventCreate(0)))

    def destroy_event(self, event: int) -> None:
        check(driver.cuEventDestroy(event))

    def record(self, event: int, stream: int) -> None:
        check(driver.cuEventRecord(event, stream))

    def elapsed(self, begin: int, end: int) -> float:
        return float(check(driver.cuEventElapsedTime(begin, end)))

    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        # Other threads of the process may go on using CUDA meanwhile.
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        check(driver.cuStreamBeginCapture(stream, mode))
        try:
            enqueue()
        except Exception:
            driver.cuStreamEndCapture(stream)  # it has failed by now, and only leaves the capturing state
            raise
        graph = check(driver.cuStreamEndCapture(stream))
        try:
            return _CapturedGraph(graph)
        finally:
            check(driver.cuGraphDestroy(graph))

    def load_kernel(self, code: bytes, name: str) -> Kernel:
        module = check(driver.cuModuleLoadData(code))
        self._modules.append(module)
        return _DriverKernel(check(driver.cuModuleGetFunction(module, name.encode())))

    def close(self) -> None:
        for module in self._modules:
            check(driver.cuModuleUnload(module))
        self._modules.clear()
        check(driver.cuCtxSetCurrent(driver.CUcontext(0)))
        check(driver.cuDevicePrimaryCtxRelease(self._device))


class _CapturedGraph(Graph):
    def __init__(self, graph: Any) -> None:
        # CUDA 11's cuGraphInstantiate takes other arguments; the name with flags has those of CUDA 12's.
        instantiate = getattr(driver, "cuGraphInstantiateWithFlags", driver.cuGraphInstantiate)
        self._executable = check(instantiate(graph, 0))

    def launch(self, stream: int) -> None:
        check(driver.cuGraphLaunch(self._executable, stream))

    def close(self) -> None:
        check(driver.cuGraphExecDestroy(self._executable))


class _DriverKernel(Kernel):
    def __init__(self, function: Any) -> None:
        self._function = function

    def launch(
        self, grid: Tuple[int, int, int], block: Tuple[int, int, int], arguments: Sequence[np.generic], stream: int
    ) -> None:
        values = [np.array(argument) for argument in arguments]
        addresses = np.array([value.ctypes.data for value in values], np.uint64)
        check(driver.cuLaunchKernel(self._function, *grid, *block, 0, stream, addresses.ctypes.data, 0))
