# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A GPU for tests on machines that have none: our stub libcuda.so.1, built by gcc, under the real Python packages.

It is loaded into this process under the driver's own name, so that whoever asks for libcuda.so.1 gets it. Between tests
it says that there is no GPU.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Tuple

from bisenet_ros.engines.cuda.libcuda import primary_context

SOURCE = Path(__file__).with_name("stub_cuda") / "libcuda.c"
CUDA = Path(__file__).parents[1] / "bisenet_ros" / "engines" / "cuda"
KINDS = ("memory", "pinned", "stream", "event", "graph", "executable", "module")
"""What the stub keeps account of, in the order of objects.h."""
OUT_OF_MEMORY, ILLEGAL_ADDRESS, LAUNCH_FAILED = 2, 700, 719
HAS_COMPILERS = bool(shutil.which("gcc") and shutil.which("g++"))

CUDA_ON_THE_HOST = """\
#include <math.h>
#include <stddef.h>
#include <utility>
#define __device__
#define __global__
struct Place { unsigned x, y, z; };
static Place blockIdx, threadIdx, blockDim;
#include SOURCE
template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>) {
  kernel(*(A *)arguments[I]...);
}
template <class... A>
static void call(void (*kernel)(A...), void **arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>());
}
template <class... A>
static const unsigned *sizes_of(void (*)(A...)) {
  static const unsigned sizes[] = {sizeof(A)..., 0};
  return sizes;
}
extern "C" const unsigned *parameter_sizes() { return sizes_of(KERNEL); }
extern "C" void launch(const unsigned *grid, const unsigned *block, void **arguments) {
  blockDim = Place{block[0], block[1], block[2]};
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x)
        for (threadIdx.z = 0; threadIdx.z < block[2]; ++threadIdx.z)
          for (threadIdx.y = 0; threadIdx.y < block[1]; ++threadIdx.y)
            for (threadIdx.x = 0; threadIdx.x < block[0]; ++threadIdx.x) call(KERNEL, arguments);
}
"""


@lru_cache(maxsize=None)
def compile_for_host(name: str) -> bytes:
    """The package's file `name`.cu as code for the stub, with products and sums kept apart as on the GPU."""
    folder = Path(tempfile.mkdtemp(prefix="stub_gpu"))
    (folder / "kernel.cpp").write_text(CUDA_ON_THE_HOST)
    options = ["-O2", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-ffp-contract=off", "-shared", "-fPIC"]
    options += [f'-DSOURCE="{CUDA / name}.cu"', f"-DKERNEL={name}"]
    subprocess.run(["g++", *options, "-o", folder / "kernel.so", folder / "kernel.cpp"], check=True)
    return (folder / "kernel.so").read_bytes()


class StubGpu:
    """The stub of this process; see libcuda.c. There is one."""

    def __init__(self) -> None:
        path = Path(tempfile.mkdtemp(prefix="stub_gpu")) / "libcuda.so.1"
        options = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-shared", "-fPIC"]
        subprocess.run(["gcc", *options, "-Wl,-soname,libcuda.so.1", "-o", path, SOURCE, "-ldl"], check=True)
        self._library = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
        self._library.stub_call.restype = ctypes.c_char_p
        self._library.stub_copied.restype = ctypes.c_long
        self.reset()

    def reset(self, *, present: bool = True) -> None:
        """Forgets everything, as if the process were new; without a GPU unless it is `present`."""
        self._library.stub_reset()
        primary_context.cache_clear()
        self.configure(present=present)

    def configure(self, compute_capability: Tuple[int, int] = (9, 0), *, present: bool = True, wait: float = 0) -> None:
        """Which GPU it is, and the seconds that each synchronization takes."""
        self._library.stub_set(present, *compute_capability, ctypes.c_double(wait))

    def fail(self, after: int, error: int) -> None:
        """The call after `after` more answers with the error; one from 700 on is then every call's answer."""
        self._library.stub_fail(after, error)

    def fail_call(self, name: str, after: int, error: int) -> None:
        """The same, of the calls of one name."""
        self._library.stub_fail_call(name.encode(), after, error)

    def calls(self) -> List[str]:
        """The names of the calls so far."""
        return [self._library.stub_call(i).decode() for i in range(self._library.stub_calls())]

    def alive(self) -> Dict[str, int]:
        """How many of each kind are not freed; kinds without any are left out."""
        counts = {kind: self._library.stub_alive(i) for i, kind in enumerate(KINDS)}
        return {kind: count for kind, count in counts.items() if count}

    def launch_host_function(self, stream: int, function: ctypes._CFuncPtr) -> None:
        """Puts a function of this process on a stream, as TensorRT would its kernels."""
        status = self._library.cuLaunchHostFunc(ctypes.c_void_p(stream), function, None)
        if status:
            raise RuntimeError(f"TensorRT cannot run the plan: the stub answers {status}")

    @property
    def retained(self) -> int:
        """How often the primary context is retained and not released."""
        return self._library.stub_retained()

    @property
    def context_resets(self) -> int:
        """How often it was released by all, and with it everything in it."""
        return self._library.stub_resets()

    @property
    def scheduling(self) -> int:
        """The flags of the primary context."""
        return self._library.stub_scheduling()

    @property
    def copied(self) -> Tuple[int, int]:
        """The bytes that went up and down."""
        return self._library.stub_copied(0), self._library.stub_copied(1)

    @property
    def pageable_copies(self) -> int:
        """How many copies were not from or to pinned memory."""
        return self._library.stub_pageable_copies()


@lru_cache(maxsize=None)
def stub_gpu() -> StubGpu:
    """The stub; loaded at the first call, for as long as the process lives."""
    return StubGpu()
