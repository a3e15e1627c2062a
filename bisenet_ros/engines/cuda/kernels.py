"""Our own kernels on the GPU: mask_upsampling.cu after the network, bytes_to_floats.cu before an older TensorRT."""

from __future__ import annotations

import importlib.util
import pkgutil
from contextlib import ExitStack
from typing import Any, Dict, List, Tuple

import numpy as np

from bisenet_ros.engines.bilinear import two_step_taps
from bisenet_ros.engines.cuda.device import CudaDevice, Kernel
from bisenet_ros.engines.cuda.driver import has_cuda_python
from bisenet_ros.model.input_size import STRIDE

ROWS = 8
"""Pixels of a column per thread, as mask_upsampling.cu has it."""
THREADS = 128
"""Of a block."""
SEPARATE_PRODUCTS = "--fmad=false"
"""A product and a sum stay two instructions, so that every GPU, and the tests' C++, computes the same bits."""


class Kernels:
    """The kernels of one device, each compiled when it is first asked for."""

    def __init__(self, device: CudaDevice) -> None:
        self.device = device
        self._loaded: Dict[str, Kernel] = {}

    def __getitem__(self, name: str) -> Kernel:
        """The kernel `name` of the file `name`.cu.

        Raises:
            RuntimeError: it does not compile.
            ModuleNotFoundError: there is nothing to compile it with.
        """
        if name not in self._loaded:
            code = compile_kernel(name, self.device.compute_capability)
            self._loaded[name] = self.device.load_kernel(code, name)
        return self._loaded[name]


class MaskUpsampling:
    """From logits of one size to masks of one size, in one pass on the GPU; the same arithmetic as `upsample_mask`."""

    def __init__(self, kernels: Kernels, *, classes: int, logits_size: Tuple[int, int], frame_size: Tuple[int, int]):
        """
        Args:
            logits_size, frame_size: (height, width).

        Raises:
            RuntimeError: the kernel does not compile, or the GPU has no memory left.
            ModuleNotFoundError: there is nothing to compile it with.
        """
        self._kernel = kernels["mask_upsampling"]
        self._sizes = [np.int32(size) for size in (classes, *logits_size, *frame_size)]
        self._grid = (-(-frame_size[1] // THREADS), -(-frame_size[0] // ROWS))
        self._taps: List[np.uint64] = []
        with ExitStack() as buffers:
            for size_in, size_out in zip(logits_size, frame_size):
                for array in two_step_taps(size_in, STRIDE * size_in, size_out):
                    address = _to_device(kernels.device, array)
                    buffers.callback(kernels.device.free, address)
                    self._taps.append(np.uint64(address))
            self._buffers = buffers.pop_all()

    def enqueue(self, logits: int, mask: int, confidence: int, stream: int, *, frames: int = 1) -> None:
        """Puts the pass on a stream.

        Args:
            logits: address of frames x classes x h x w float32.
            mask: address of frames x height x width uint8, which is written.
            confidence: likewise, or 0 if it is not asked for.
        """
        ends = [np.uint64(address) for address in (mask, confidence)]
        arguments: List[np.generic] = [np.uint64(logits), *self._taps, *ends, *self._sizes]
        self._kernel.launch((*self._grid, frames), (THREADS, 1, 1), arguments, stream)

    def close(self) -> None:
        """Frees the device's memory."""
        self._buffers.close()


def bytes_to_floats(kernels: Kernels, source: int, target: int, count: int, stream: int) -> None:
    """Puts the conversion of `count` uint8 at `source` to float32 at `target` on a stream."""
    arguments: List[np.generic] = [np.uint64(source), np.uint64(target), np.int32(count)]
    kernels["bytes_to_floats"].launch((-(-count // THREADS), 1, 1), (THREADS, 1, 1), arguments, stream)


def compile_kernel(name: str, compute_capability: Tuple[int, int]) -> bytes:
    """The file `name`.cu as machine code for a GPU, or as PTX if the compiler does not know the GPU yet.

    Raises:
        RuntimeError: the compiler refuses.
        ModuleNotFoundError: there is no compiler: NVRTC for cuda-python, nvcc for pycuda.
    """
    source = pkgutil.get_data(__package__, f"{name}.cu")
    assert source is not None, f"{name}.cu is installed with this file"
    architecture = 10 * compute_capability[0] + compute_capability[1]
    if has_cuda_python():
        return _compile_with_nvrtc(source, name, architecture)
    if importlib.util.find_spec("pycuda"):
        return _compile_with_nvcc(source, architecture)
    raise ModuleNotFoundError("kernels are compiled with cuda-python or pycuda; install one of them")


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
        raise ModuleNotFoundError(
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
            f"{architecture / 10}; install the CUDA version of the GPU's own time"
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
        raise ModuleNotFoundError(
            f"kernels are compiled by nvcc, which is not found ({error}); put the CUDA toolkit's bin into PATH"
        ) from error


def _to_device(device: CudaDevice, array: np.ndarray) -> int:
    address, stream = device.allocate(array.nbytes), device.create_stream()
    device.upload(address, array, stream)
    device.synchronize(stream)
    device.destroy_stream(stream)
    return address
