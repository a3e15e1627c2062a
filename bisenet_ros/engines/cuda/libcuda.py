# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The driver's library by ctypes: what must be asked before, or cannot be asked through, CUDA's Python packages."""

import ctypes
from functools import lru_cache

from bisenet_ros.engines.cuda.device import GpuError

CUDA_SUCCESS = 0
SCHEDULE_BLOCKING_SYNC = 4
"""CU_CTX_SCHED_BLOCKING_SYNC: who waits for the GPU sleeps; by default it keeps a core busy."""
ENDS_THE_PROCESS = {214, 220, 226, 700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 810, 911}
"""Errors after which, by cuda.h, "the process must be terminated and relaunched" (ILLEGAL_ADDRESS, LAUNCH_FAILED and
others), or after which a context cannot be used any more (ASSERT) or memory is broken (ECC, NVLINK)."""


def load_libcuda() -> ctypes.CDLL:
    """The driver's library.

    Raises:
        GpuError: there is no driver.
    """
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise GpuError(
            "expected an NVIDIA driver, but libcuda.so.1 is not found; install the driver (in a container: start it "
            "with GPU access), or choose device cpu"
        ) from None


def require_gpu() -> None:
    """Checks by the driver itself: TensorRT and CUDA's Python modules may crash where there is none.

    Raises:
        GpuError: there is no driver or no GPU; the message says which.
    """
    driver, count = load_libcuda(), ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    if status != CUDA_SUCCESS:
        raise GpuError(
            f"expected a usable NVIDIA GPU, but the driver answers {_error_name(status)} ({status}); "
            "see `nvidia-smi`, or choose device cpu"
        )
    if count.value == 0:
        raise GpuError("expected an NVIDIA GPU, but the driver sees none; see `nvidia-smi`, or choose device cpu")


def driver_version() -> int:
    """The newest CUDA that the driver is for: 13000 for 13.0."""
    version = ctypes.c_int()
    _check(load_libcuda().cuDriverGetVersion(ctypes.byref(version)))
    return version.value


@lru_cache(maxsize=None)
def primary_context() -> int:
    """The handle of the first GPU's context, the one that TensorRT and others share; kept until the process ends.

    The driver resets a context that everybody has released, although TensorRT's libraries still count on it. Must be
    called before anything else uses the GPU: who waits for it is to sleep, which can be set only before.

    Raises:
        GpuError: there is no driver.
        RuntimeError: the driver refuses.
    """
    driver, device, context = load_libcuda(), ctypes.c_int(), ctypes.c_void_p()
    _check(driver.cuInit(0))
    _check(driver.cuDeviceGet(ctypes.byref(device), 0))
    driver.cuDevicePrimaryCtxSetFlags(device, SCHEDULE_BLOCKING_SYNC)  # refused where the context is in use already
    _check(driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device))
    return context.value or 0


def synchronize(stream: int) -> None:
    """Waits for a stream without Python's lock, which cuda-python before 12.9.1 keeps meanwhile."""
    _check(load_libcuda().cuStreamSynchronize(ctypes.c_void_p(stream)))


def fault_that_ends_the_process() -> str:
    """CUDA's name of the fault after which only a new process can use the GPU; empty where there was none."""
    try:
        status = load_libcuda().cuCtxSynchronize()
    except GpuError:
        return ""
    return _error_name(status) if status in ENDS_THE_PROCESS else ""


def _check(status: int) -> None:
    if status != CUDA_SUCCESS:
        raise RuntimeError(f"CUDA answers {_error_name(status)}")


def _error_name(status: int) -> str:
    name = ctypes.c_char_p()
    load_libcuda().cuGetErrorName(status, ctypes.byref(name))
    return (name.value or b"error").decode()
