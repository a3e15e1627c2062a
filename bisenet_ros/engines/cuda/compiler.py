# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compiles our kernels for a GPU: by NVRTC where cuda-python is used, by nvcc where pycuda is."""

import pkgutil
from functools import partial
from typing import Any, List, Tuple

from bisenet_ros.engines.cuda.device import GpuError

SEPARATE_PRODUCTS = "--fmad=false"
"""No fused multiply-add, so that every GPU, and the C++ compiler of the tests, computes the same bits."""


def check(result: Tuple[Any, ...], library: str = "CUDA") -> Any:
    """The value of a call's (status, value) in cuda-python.

    Raises:
        RuntimeError: the call failed; the library's name of the error.
    """
    status, *values = result
    if status != 0:
        raise RuntimeError(f"{library} answers {status.name}")
    return values[0] if values else None


def compile_with_nvrtc(name: str, compute_capability: Tuple[int, int]) -> bytes:
    """The file `name`.cu as machine code for a GPU, or PTX if NVRTC does not know it yet; see `CudaDevice.kernel`."""
    try:
        from cuda.bindings import nvrtc
    except ImportError:  # before 12.6
        from cuda import nvrtc

    check_nvrtc = partial(check, library="NVRTC")
    try:
        known = check_nvrtc(nvrtc.nvrtcGetSupportedArchs())
    except RuntimeError as error:  # cuda-python's own, if it does not find the library
        raise GpuError(
            f"kernels are compiled by NVRTC, which is not found ({error}); install the CUDA toolkit, or "
            "`pip install nvidia-cuda-nvrtc-cu12` (in the major version of your cuda-python)"
        ) from error
    program = check_nvrtc(nvrtc.nvrtcCreateProgram(_source(name), f"{name}.cu".encode(), 0, [], []))
    target = _target(10 * compute_capability[0] + compute_capability[1], known)
    options = [f"--gpu-architecture={target}".encode(), SEPARATE_PRODUCTS.encode()]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = b" " * check_nvrtc(nvrtc.nvrtcGetProgramLogSize(program))
        check_nvrtc(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(f"NVRTC does not compile {name}.cu for {target}: {log.decode().strip()}")
    kind = "PTX" if target.startswith("compute") else "CUBIN"
    code = b" " * check_nvrtc(getattr(nvrtc, f"nvrtcGet{kind}Size")(program))
    check_nvrtc(getattr(nvrtc, f"nvrtcGet{kind}")(program, code))
    check_nvrtc(nvrtc.nvrtcDestroyProgram(program))
    return code


def _source(name: str) -> bytes:
    source = pkgutil.get_data(__package__, f"{name}.cu")
    assert source is not None, f"{name}.cu is installed with this file"
    return source


def _target(architecture: int, known: List[int]) -> str:
    """Machine code where the compiler knows the GPU: the driver may be older than the compiler and refuse its PTX."""
    if architecture in known:
        return f"sm_{architecture}"
    older = [other for other in known if other < architecture]
    if not older:
        raise RuntimeError(
            f"this NVRTC compiles for compute capability {min(known) / 10} or later, and the GPU has "
            f"{architecture / 10}; install an older CUDA, which knows this GPU"
        )
    return f"compute_{max(older)}"


def compile_with_nvcc(name: str, compute_capability: Tuple[int, int]) -> bytes:
    """Compiles a kernel by nvcc, which must know the GPU."""
    from pycuda.compiler import compile
    from pycuda.driver import CompileError

    architecture = f"sm_{compute_capability[0]}{compute_capability[1]}"
    try:
        return compile(_source(name).decode(), options=[SEPARATE_PRODUCTS], arch=architecture, no_extern_c=True)
    except CompileError as error:
        raise RuntimeError(f"nvcc does not compile a kernel: {error}") from error
    except OSError as error:
        raise GpuError(
            f"kernels are compiled by nvcc, which is not found ({error}); put the CUDA toolkit's bin into PATH"
        ) from error
