# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Memory, streams and kernels of the GPU: one small interface, which cuda-python and pycuda each have a file for.

CUDA contexts belong to threads: whoever opens a device uses and closes it on the same thread.
"""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any, Callable, Dict, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.engine import EngineError

Dim3 = Tuple[int, int, int]
"""CUDA's dim3: x, y, z."""


class GpuError(EngineError):
    """There is no GPU that can be used: the driver, the GPU, a compiler or a Python package is missing."""


class CudaDevice(ABC):
    """The first GPU. Addresses and handles are plain integers, as TensorRT takes them.

    What a method returns is freed when its `owner` is closed. All methods may raise RuntimeError, which names CUDA's
    error.

    Attributes:
        name: the GPU's, such as "Orin".
        compute_capability: such as (8, 7).
        multiprocessors: how many it has; GPUs of one name may differ.
    """

    name: str
    compute_capability: Tuple[int, int]
    multiprocessors: int

    def __init__(self) -> None:
        self._kernels: Dict[str, Any] = {}
        self._owner = ExitStack()  # what is freed when the device is closed

    def kernel(self, name: str) -> Any:
        """The kernel `name` of the file `name`.cu for `launch`, compiled when it is first asked for.

        Raises:
            RuntimeError: it does not compile.
            GpuError: there is nothing to compile it with.
        """
        if name not in self._kernels:
            self._kernels[name] = self.load_kernel(name)
        return self._kernels[name]

    @abstractmethod
    def memory(self) -> Tuple[int, int]:
        """Free and total device memory in bytes."""

    @abstractmethod
    def allocate(self, size: int, owner: ExitStack) -> int:
        """The address of `size` bytes of device memory."""

    @abstractmethod
    def allocate_pinned(self, shape: Tuple[int, ...], owner: ExitStack) -> np.ndarray:
        """A uint8 array in page-locked host memory, which the GPU copies to and from by itself."""

    @abstractmethod
    def create_stream(self, owner: ExitStack) -> int:
        """Creates a CUDA stream, a queue of work."""

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
    def create_event(self, owner: ExitStack) -> int:
        """Creates a CUDA event, a mark in time."""

    @abstractmethod
    def record(self, event: int, stream: int) -> None:
        """Sets the mark once the stream's work so far is done."""

    @abstractmethod
    def elapsed(self, begin: int, end: int) -> float:
        """Milliseconds between two marks, after the second was reached."""

    def capture(self, stream: int, enqueue: Callable[[], None], owner: ExitStack) -> Callable[[], None]:
        """Records what `enqueue` puts on the stream, without running it, as a CUDA graph; returns what launches it.

        Raises:
            NotImplementedError: the library cannot.
            RuntimeError: the work cannot be captured.
        """
        raise NotImplementedError("graphs are captured with cuda-python only")

    @abstractmethod
    def load_kernel(self, name: str) -> Any:
        """Compiles and loads `name`.cu, which stays loaded until the device is closed; see `kernel`."""

    @abstractmethod
    def launch(self, kernel: Any, grid: Dim3, block: Dim3, arguments: Sequence[np.generic], stream: int) -> None:
        """Starts a kernel. Pointers are np.uint64, other arguments have the widths of the kernel's own."""

    def close(self) -> None:
        """Unloads the kernels and lets go of the context; everything else must have been freed before.

        A step that fails, as all do on a GPU that has failed, does not keep the others from running.
        """
        self._kernels.clear()
        self._owner.close()
