# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Finds the GPU: whether its driver is there, and by which Python package it is spoken to."""

import ctypes
import importlib.util

from bisenet_ros.engines.cuda.device import CudaDevice, GpuError

CUDA_SUCCESS = 0


def open_device() -> CudaDevice:
    """The first GPU, made current on this thread.

    Raises:
        GpuError: there is no driver or no GPU, or neither cuda-python nor pycuda is installed.
    """
    require_gpu()
    if has_cuda_python():
        from bisenet_ros.engines.cuda.cuda_python_device import CudaPythonDevice

        return CudaPythonDevice()
    if importlib.util.find_spec("pycuda"):
        from bisenet_ros.engines.cuda.pycuda_device import PycudaDevice

        return PycudaDevice()
    raise GpuError(
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
        GpuError: there is no driver or no GPU; the message says which.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        raise GpuError(
            "expected an NVIDIA driver, but libcuda.so.1 is not found; install the driver (in a container: start it "
            "with GPU access), or choose device cpu"
        ) from None
    _check(driver, driver.cuInit(0))
    count = ctypes.c_int()
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if count.value == 0:
        raise GpuError("expected an NVIDIA GPU, but the driver sees none; see `nvidia-smi`, or choose device cpu")


def _check(driver: ctypes.CDLL, status: int) -> None:
    if status == CUDA_SUCCESS:
        return
    name = ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    raise GpuError(
        f"expected a usable NVIDIA GPU, but the driver answers {(name.value or b'error').decode()} ({status}); "
        "see `nvidia-smi`, or choose device cpu"
    )
