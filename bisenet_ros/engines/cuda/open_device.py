# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Opens the GPU through the Python package that is installed for it."""

from bisenet_ros.engines.cuda.device import CudaDevice, GpuError
from bisenet_ros.engines.cuda.libcuda import require_gpu
from bisenet_ros.files.installed_package import is_importable


def open_device() -> CudaDevice:
    """The first GPU, made current on this thread.

    Raises:
        GpuError: there is no driver or no GPU, or neither cuda-python nor pycuda is installed, or works.
    """
    require_gpu()
    try:
        if has_cuda_python():
            from bisenet_ros.engines.cuda.cuda_python_device import CudaPythonDevice

            return CudaPythonDevice()
        if is_importable("pycuda"):
            from bisenet_ros.engines.cuda.pycuda_device import PycudaDevice

            return PycudaDevice()
    except ImportError as error:  # such as of a library of CUDA, or pycuda built with another NumPy
        raise GpuError(f"CUDA's Python package cannot be imported: {error}; install it again") from error
    raise GpuError(
        "memory on the GPU needs cuda-python (CUDA 11 or later) or pycuda (Jetson TX2); install one with "
        "`pip install cuda-bindings` or `pip install pycuda`"
    )


def has_cuda_python() -> bool:
    """Whether cuda-python is installed, under its newer or its older name."""
    if not is_importable("cuda"):
        return False
    return any(is_importable(f"cuda.{name}") for name in ("bindings", "cuda"))
