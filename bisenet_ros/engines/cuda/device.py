"""Memory, streams and kernels of the GPU: one small interface, which cuda-python and pycuda each have a file for.

CUDA contexts belong to threads: whoever opens a device uses and closes it on the same thread.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Callable, Sequence, Tuple

import numpy as np


class Graph(ABC):
    """Work that was recorded once and is launched as a whole."""

    @abstractmethod
    def launch(self, stream: int) -> None:
        """Starts the work; it is done when the stream is synchronized."""

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
