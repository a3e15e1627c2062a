"""Memory, streams and kernels of the GPU: one small interface over cuda-python, or pycuda where that is not installed.

CUDA contexts belong to threads: whoever opens a device uses and closes it on the same thread.
"""

from __future__ import annotations

import ctypes
import importlib.util
from abc import ABC, abstractmethod
from typing import Callable, Sequence, Tuple

import numpy as np

CUDA_SUCCESS = 0


class Graph(ABC):
    """Work that was recorded once and is launched as a whole."""

    @abstractmethod
    def launch(self, stream: int) -> None:
        """Starts the work; it is done when the stream is synchronised."""

    @abstractmethod
    def close(self) -> None:
        """Frees it."""


class Kernel(ABC):
    """A compiled function on the GPU."""

    @abstractmethod
    def launch(
        self, grid: Tuple[int, int, int], block: Tuple[int, int, int], arguments: Sequence[np.generic], stream: int
    ) -> None:
        """Starts it. Pointers are np.uint64, other arguments have the widths of the kernel's own."""


class CudaDevice(ABC):
    """The first GPU. Addresses and handles are plain integers, as TensorRT takes them.

    All methods may raise RuntimeError, which names CUDA's error.

    Attributes:
        name: the GPU's, such as "Orin".
        compute_capability: such as (8, 7).
    """

    name: str
    compute_capability: Tuple[int, int]

    @abstractmethod
    def memory(self) -> Tuple[int, int]:
        """Free and total device memory in bytes."""

    @abstractmethod
    def allocate(self, size: int) -> int:
        """The address of `size` bytes of device memory."""

    @abstractmethod
    def free(self, address: int) -> None:
        """Gives back what `allocate` gave."""

    @abstractmethod
    def allocate_pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        """A uint8 array in page-locked host memory, which the GPU copies to and from by itself."""

    @abstractmethod
    def free_pinned(self, array: np.ndarray) -> None:
        """Gives back what `allocate_pinned` gave; the array must not be touched any more."""

    @abstractmethod
    def create_stream(self) -> int:
        """A queue of work."""

    @abstractmethod
    def destroy_stream(self, stream: int) -> None:
        """Frees a stream."""

    @abstractmethod
    def synchronize(self, stream: int) -> None:
        """Waits until all work of the stream is done."""

    @abstractmethod
    def upload(self, address: int, array: np.ndarray, stream: int) -> None:
        """Copies a whole contiguous array to the device; with a pinned one this returns at once."""

    @abstractmethod
    def download(self, array: np.ndarray, address: int, stream: int) -> None:
        """Fills a contiguous array from the device; with a pinned one this returns at once."""

    @abstractmethod
    def create_event(self) -> int:
        """A mark in time."""

    @abstractmethod
    def destroy_event(self, event: int) -> None:
        """Frees an event."""

    @abstractmethod
    def record(self, event: int, stream: int) -> None:
        """Sets the mark once the stream's work so far is done."""

    @abstractmethod
    def elapsed(self, begin: int, end: int) -> float:
        """Milliseconds between two marks, after the second was reached."""

    @abstractmethod
    def capture(self, stream: int, enqueue: Callable[[], None]) -> Graph:
        """The graph of what `enqueue` puts on the stream, without running it.

        Raises:
            NotImplementedError: the library cannot.
            RuntimeError: the work cannot be captured.
        """

    @abstractmethod
    def load_kernel(self, code: bytes, name: str) -> Kernel:
        """A function of a compiled module (cubin or PTX), which stays loaded until the device is closed."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the context; everything else must have been freed before."""


def open_device() -> CudaDevice:
    """The first GPU, made current on this thread.

    Raises:
        RuntimeError: there is no driver, or no GPU.
        ModuleNotFoundError: neither cuda-python nor pycuda is installed.
    """
    require_gpu()
    if has_cuda_python():
        from bisenet_ros.engines.cuda_python_device import CudaPythonDevice

        return CudaPythonDevice()
    if importlib.util.find_spec("pycuda"):
        from bisenet_ros.engines.pycuda_device import PycudaDevice

        return PycudaDevice()
    raise ModuleNotFoundError(
        "memory on the GPU needs cuda-python (CUDA 11 or later) or pycuda (Jetson TX2); install one with "
        "`pip install cuda-python` or `pip install pycuda`"
    )


def has_cuda_python() -> bool:
    """Whether cuda-python is installed, under its newer or its older name."""
    if importlib.util.find_spec("cuda") is None:
        return False
    return any(importlib.util.find_spec(f"cuda.{name}") for name in ("bindings", "cuda"))


def require_gpu() -> None:
    """Checks by the driver itself: TensorRT and CUDA's Python modules may crash where there is none.

    Raises:
        RuntimeError: there is no driver or no GPU; the message says which.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise RuntimeError(
            "expected an NVIDIA driver, but libcuda.so.1 is not found; install the driver (in a container: start it "
            "with GPU access), or choose device cpu"
        ) from None
    _check(driver, driver.cuInit(0))
    count = ctypes.c_int()
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if count.value == 0:
        raise RuntimeError("expected an NVIDIA GPU, but the driver sees none; see `nvidia-smi`, or choose device cpu")


def _check(driver: ctypes.CDLL, status: int) -> None:
    if status == CUDA_SUCCESS:
        return
    name = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    raise RuntimeError(
        f"expected a usable NVIDIA GPU, but the driver answers {(name.value or b'error').decode()} ({status}); "
        "see `nvidia-smi`, or choose device cpu"
    )
