# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What device cuda needs, part by part: what is there, or what is missing and how to get it."""

from typing import Dict, Optional

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.libcuda import driver_version, require_gpu
from bisenet_ros.engines.cuda.open_device import open_device
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.tensorrt.api import load_tensorrt
from bisenet_ros.files.installed_package import installed_version

PARTS = ("driver", "CUDA in Python", "GPU", "TensorRT", "our kernel")
"""In the order in which they are needed; without the last there is no confidence."""
PYTHON_PACKAGES = ("cuda-bindings", "cuda-python", "pycuda")


def examine_gpu() -> Dict[str, str]:
    """The parts by name, up to the first that is missing."""
    found: Dict[str, str] = {}
    device: Optional[CudaDevice] = None
    try:
        found["driver"] = _examine_driver()
        found["CUDA in Python"] = _python_packages()
        device = open_device()
        found["GPU"] = _describe_gpu(device)
        found["TensorRT"] = _examine_tensorrt(device)
        device.kernel("mask_upsampling")
        found["our kernel"] = "compiles"
    except (EngineError, RuntimeError, ImportError, OSError) as error:
        found[next(part for part in PARTS if part not in found)] = f"NO: {error}"
    finally:
        if device is not None:
            device.close()
    return found


def _examine_driver() -> str:
    require_gpu()
    version = driver_version()
    return f"for CUDA {version // 1000}.{version % 1000 // 10}"


def _python_packages() -> str:
    versions = {package: installed_version(package) for package in PYTHON_PACKAGES}
    found = [f"{package} {version}" for package, version in versions.items() if version]
    if not found:
        raise EngineError("expected cuda-bindings or pycuda; see docs/gpu.md for the version that fits the driver")
    return ", ".join(found)


def _describe_gpu(device: CudaDevice) -> str:
    free, total = device.memory()
    return "{}, compute capability {}.{}, {} multiprocessors, {:.1f} of {:.1f} GiB free".format(
        device.name, *device.compute_capability, device.multiprocessors, free / 2**30, total / 2**30
    )


def _examine_tensorrt(device: CudaDevice) -> str:
    tensorrt = load_tensorrt()
    tensorrt.require_gpu(device.compute_capability)
    return f"{tensorrt.name} {tensorrt.cuda_package}".strip()
