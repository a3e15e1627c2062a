# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Our CUDA kernels: their source runs on the stub GPU, and NVRTC compiles it where it is installed."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Iterator

import numpy as np
import pytest
from stub_gpu import CUDA

from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.cuda import compiler
from bisenet_ros.engines.cuda import kernels as cuda_kernels
from bisenet_ros.engines.cuda.compiler import compile_with_nvrtc
from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.kernels import MaskUpsampling, bytes_to_floats
from bisenet_ros.engines.cuda.open_device import open_device

# logits at 1/8 of the network's size, and the frame's size
SIZES = [
    ((16, 32), (256, 512)),
    ((39, 69), (720, 1280)),
    ((45, 60), (360, 480)),
    ((60, 80), (479, 641)),
    ((45, 60), (97, 131)),
    ((4, 4), (5, 7)),
]


@pytest.fixture
def device(stub) -> Iterator[CudaDevice]:
    device = open_device()
    yield device
    device.close()
    assert not stub.alive()


def run_kernel(device: CudaDevice, logits: np.ndarray, frame_size, *, confidence: bool = False):
    """Mask and confidence of N x classes x h x w logits, by the kernel."""
    frames, classes, *logits_size = logits.shape
    outputs = [np.empty((frames, *frame_size), np.uint8) for _ in range(1 + confidence)]
    with ExitStack() as owner:
        stream = device.create_stream(owner)
        upsampling = MaskUpsampling(
            device, owner, stream, classes=classes, logits_size=logits_size, frame_size=frame_size
        )
        addresses = [device.allocate(array.nbytes, owner) for array in (logits, *outputs)]
        device.upload(addresses[0], logits, stream)
        upsampling.enqueue(addresses[0], addresses[1], addresses[2] if confidence else 0, stream, frames=frames)
        for output, address in zip(outputs, addresses[1:]):
            device.download(output, address, stream)
        device.synchronize(stream)
    return outputs if confidence else outputs[0]


@pytest.mark.parametrize("logits_size, frame_size", SIZES)
@pytest.mark.parametrize("classes", [1, 19])
def test_the_kernel_gives_the_masks_of_the_cpu_engines(device, logits_size, frame_size, classes):
    logits = np.random.default_rng(0).standard_normal((1, classes, *logits_size), dtype=np.float32)
    different = np.sum(run_kernel(device, logits, frame_size)[0] != upsample_logits(logits[0], frame_size).mask)
    assert different <= 1  # none was seen


@pytest.mark.parametrize("logits_size, frame_size", SIZES)
def test_the_kernel_gives_the_masks_of_torch(device, logits_size, frame_size):
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).standard_normal((1, 19, *logits_size), dtype=np.float32)
    expected = torch.from_numpy(logits)
    for size in ([8 * side for side in logits_size], frame_size):
        expected = torch.nn.functional.interpolate(expected, size=size, mode="bilinear")
    different = np.sum(run_kernel(device, logits, frame_size) != expected.argmax(1).numpy())
    assert different <= 2  # 1 was seen, of 921 600 pixels


@pytest.mark.parametrize("logits_size, frame_size", SIZES)
def test_the_kernels_confidence_is_that_of_the_cpu_engines(device, logits_size, frame_size):
    logits = 4 * np.random.default_rng(1).standard_normal((1, 11, *logits_size), dtype=np.float32)
    mask, confidence = run_kernel(device, logits, frame_size, confidence=True)
    expected_mask, expected = upsample_logits(logits[0], frame_size, confidence=True)
    assert np.sum(mask[0] != expected_mask) <= 1
    assert np.abs(confidence[0].astype(int) - expected).max() <= 2


def test_ties_go_to_the_lower_id(device):
    logits = np.zeros((1, 5, 8, 8), np.float32)
    logits[:, 2] = logits[:, 4] = 1
    assert (run_kernel(device, logits, (64, 64)) == 2).all()


def test_every_frame_of_a_batch_has_its_own_masks(device):
    logits = np.random.default_rng(2).standard_normal((3, 11, 6, 9), dtype=np.float32)
    mask, confidence = run_kernel(device, logits, (50, 75), confidence=True)
    for i in range(3):
        one = run_kernel(device, logits[i : i + 1], (50, 75), confidence=True)
        assert np.array_equal(mask[i], one[0][0]) and np.array_equal(confidence[i], one[1][0])


def test_bytes_become_the_same_floats(device):
    frame, floats = np.arange(256, dtype=np.uint8), np.empty(256, np.float32)
    with ExitStack() as owner:
        stream = device.create_stream(owner)
        source, target = device.allocate(256, owner), device.allocate(1024, owner)
        device.upload(source, frame, stream)
        bytes_to_floats(device, source, target, 256, stream)
        device.download(floats, target, stream)
        device.synchronize(stream)
    assert np.array_equal(floats, frame)


def test_python_and_cuda_agree_on_the_rows_of_a_thread():
    source = (CUDA / "mask_upsampling.cu").read_text()
    assert re.findall(r"#define ROWS (\d+)", source) == [str(cuda_kernels.ROWS)]


# Without a GPU the real compiler can be had: `pip install cuda-bindings nvidia-cuda-nvrtc`.


@pytest.fixture(scope="module")
def known_architectures():
    pytest.importorskip("cuda.bindings")
    from cuda.bindings import nvrtc

    try:
        return nvrtc.nvrtcGetSupportedArchs()[1]
    except RuntimeError:
        pytest.skip("NVRTC is not installed")


@pytest.mark.parametrize("name", ["mask_upsampling", "bytes_to_floats"])
@pytest.mark.parametrize("compute_capability", [(6, 2), (8, 7), (9, 0)], ids=["TX2", "Orin", "H100"])
def test_nvrtc_compiles_the_kernels(known_architectures, name, compute_capability):
    architecture = 10 * compute_capability[0] + compute_capability[1]
    if architecture < min(known_architectures):
        with pytest.raises(RuntimeError, match="this NVRTC compiles for compute capability .* or later"):
            compile_with_nvrtc(name, compute_capability)
        pytest.skip(f"this NVRTC no longer knows sm_{architecture}")
    code = compile_with_nvrtc(name, compute_capability)
    assert code.startswith(b"\x7fELF") and name.encode() in code


def test_a_gpu_newer_than_nvrtc_gets_ptx(known_architectures):
    code = compile_with_nvrtc("mask_upsampling", (99, 0)).decode()
    assert f".target sm_{max(known_architectures)}" in code and ".entry mask_upsampling" in code


def test_products_and_sums_stay_apart(known_architectures, monkeypatch):
    """exp is made of fused ones, and nothing else."""

    def fused() -> int:
        return compile_with_nvrtc("mask_upsampling", (99, 0)).count(b"fma.rn.f32")

    apart = fused()
    monkeypatch.setattr(compiler, "SEPARATE_PRODUCTS", "--fmad=true")
    assert apart <= 3 * cuda_kernels.ROWS < fused()


def test_what_nvrtc_refuses_is_said(known_architectures, monkeypatch):
    monkeypatch.setattr(compiler.pkgutil, "get_data", lambda package, name: b"no_such_type x;")
    with pytest.raises(RuntimeError, match='NVRTC does not compile mask_upsampling.cu for sm_90: .*"no_such_type"'):
        compile_with_nvrtc("mask_upsampling", (9, 0))
