"""Compiles our kernels for a GPU: by NVRTC, or by nvcc where pycuda is used."""

from __future__ import annotations

import importlib.util
import pkgutil
from typing import Any, List, Tuple

from bisenet_ros.engines.cuda.driver import GpuError, has_cuda_python

SEPARATE_PRODUCTS = "--fmad=false"
"""No fused multiply-add, so that every GPU, and the C++ compiler of the tests, computes the same bits."""


def compile_kernel(name: str, compute_capability: Tuple[int, int]) -> bytes:
    """The file `name`.cu as machine code for a GPU, or as PTX if the compiler does not know the GPU yet.

    Raises:
        RuntimeError: the compiler refuses.
        GpuError: there is no compiler: NVRTC for cuda-python, nvcc for pycuda.
    """
    source = pkgutil.get_data(__package__, f"{name}.cu")
    assert source is not None, f"{name}.cu is installed with this file"
    architecture = 10 * compute_capability[0] + compute_capability[1]
    if has_cuda_python():
        return _compile_with_nvrtc(source, name, architecture)
    if importlib.util.find_spec("pycuda"):
        return _compile_with_nvcc(source, architecture)
    raise GpuError("kernels are compiled with cuda-python or pycuda; install one of them")


def _compile_with_nvrtc(source: bytes, name: str, architecture: int) -> bytes:
    try:
        from cuda.bindings import nvrtc
    except ImportError:  # before 12.6
        from cuda import nvrtc

    def check(result: Tuple[Any, ...]) -> Any:
        status, *values = result
        if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"NVRTC answers {status.name}")
        return values[0] if values else None

    try:
        known = check(nvrtc.nvrtcGetSupportedArchs())
    except RuntimeError as error:  # cuda-python's own, if it does not find the library
        raise GpuError(
            f"kernels are compiled by NVRTC, which is not found ({error}); install the CUDA toolkit, or "
            "`pip install nvidia-cuda-nvrtc-cu12` (in the major version of your cuda-python)"
        ) from error
    program = check(nvrtc.nvrtcCreateProgram(source, f"{name}.cu".encode(), 0, [], []))
    target = _target(architecture, known)
    options = [f"--gpu-architecture={target}".encode(), SEPARATE_PRODUCTS.encode()]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = b" " * check(nvrtc.nvrtcGetProgramLogSize(program))
        check(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(f"NVRTC does not compile {name}.cu for {target}: {log.decode().strip()}")
    is_ptx = target.startswith("compute")
    size, read = (
        (nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX) if is_ptx else (nvrtc.nvrtcGetCUBINSize, nvrtc.nvrtcGetCUBIN)
    )
    code = b" " * check(size(program))
    check(read(program, code))
    check(nvrtc.nvrtcDestroyProgram(program))
    return code


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


def _compile_with_nvcc(source: bytes, architecture: int) -> bytes:
    from pycuda.compiler import compile as compile_with_nvcc
    from pycuda.driver import CompileError

    try:
        return compile_with_nvcc(
            source.decode(), options=[SEPARATE_PRODUCTS], arch=f"sm_{architecture}", no_extern_c=True
        )
    except CompileError as error:
        raise RuntimeError(f"nvcc does not compile a kernel: {error}") from error
    except OSError as error:
        raise GpuError(
            f"kernels are compiled by nvcc, which is not found ({error}); put the CUDA toolkit's bin into PATH"
        ) from error
