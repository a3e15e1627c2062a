"""Our CUDA kernels: their source runs on the CPU, and NVRTC compiles it where it is installed."""

from __future__ import annotations

import importlib.util
import re
import shutil

import numpy as np
import pytest
from fake_gpu import CUDA, FakeDevice

from bisenet_ros.engines.cpu.postprocess import upsample_mask, upsample_mask_and_confidence
from bisenet_ros.engines.cuda import compiler
from bisenet_ros.engines.cuda import kernels as cuda_kernels
from bisenet_ros.engines.cuda.compiler import compile_kernel
from bisenet_ros.engines.cuda.driver import GpuError
from bisenet_ros.engines.cuda.kernels import Kernels, MaskUpsampling, bytes_to_floats

# logits at 1/8 of the network's size, and the frame's size
SIZES = [
    ((16, 32), (256, 512)),
    ((39, 69), (720, 1280)),
    ((45, 60), (360, 480)),
    ((60, 80), (479, 641)),
    ((45, 60), (97, 131)),
    ((4, 4), (5, 7)),
]

needs_a_compiler = pytest.mark.skipif(not shutil.which("g++"), reason="g++ compiles the kernels for the CPU")


@pytest.fixture
def kernels(monkeypatch) -> Kernels:
    monkeypatch.setattr(cuda_kernels, "compile_kernel", lambda name, compute_capability: b"")
    return Kernels(FakeDevice())


def run_kernel(kernels: Kernels, logits: np.ndarray, frame_size, *, confidence: bool = False):
    """Mask and confidence of N x classes x h x w logits, by the kernel."""
    device, stream, frames = kernels.device, kernels.device.create_stream(), len(logits)
    outputs = [np.empty((frames, *frame_size), np.uint8) for _ in range(1 + confidence)]
    upsampling = MaskUpsampling(kernels, classes=logits.shape[1], logits_size=logits.shape[2:], frame_size=frame_size)
    addresses = [device.allocate(array.nbytes) for array in (logits, *outputs)]
    device.upload(addresses[0], logits, stream)
    upsampling.enqueue(addresses[0], addresses[1], addresses[2] if confidence else 0, stream, frames=frames)
    for output, address in zip(outputs, addresses[1:]):
        device.download(output, address, stream)
    device.synchronize(stream)
    upsampling.close()
    for address in addresses:
        device.free(address)
    device.destroy_stream(stream)
    assert device.in_use == 0
    return outputs if confidence else outputs[0]


@needs_a_compiler
@pytest.mark.parametrize("logits_size, frame_size", SIZES)
@pytest.mark.parametrize("classes", [1, 19])
def test_the_kernel_gives_the_masks_of_the_cpu_engines(kernels, logits_size, frame_size, classes):
    logits = np.random.default_rng(0).standard_normal((1, classes, *logits_size), dtype=np.float32)
    different = np.sum(run_kernel(kernels, logits, frame_size)[0] != upsample_mask(logits[0], frame_size))
    assert different <= 1  # none was seen


@needs_a_compiler
@pytest.mark.parametrize("logits_size, frame_size", SIZES)
def test_the_kernel_gives_the_masks_of_torch(kernels, logits_size, frame_size):
    torch = pytest.importorskip("torch")
    logits = np.random.default_rng(0).standard_normal((1, 19, *logits_size), dtype=np.float32)
    expected = torch.from_numpy(logits)
    for size in ([8 * side for side in logits_size], frame_size):
        expected = torch.nn.functional.interpolate(expected, size=size, mode="bilinear")
    different = np.sum(run_kernel(kernels, logits, frame_size) != expected.argmax(1).numpy())
    assert different <= 2  # 1 was seen, of 921 600 pixels


@needs_a_compiler
@pytest.mark.parametrize("logits_size, frame_size", SIZES)
def test_the_kernels_confidence_is_that_of_the_cpu_engines(kernels, logits_size, frame_size):
    logits = 4 * np.random.default_rng(1).standard_normal((1, 11, *logits_size), dtype=np.float32)
    mask, confidence = run_kernel(kernels, logits, frame_size, confidence=True)
    expected_mask, expected = upsample_mask_and_confidence(logits[0], frame_size)
    assert np.sum(mask[0] != expected_mask) <= 1
    assert np.abs(confidence[0].astype(int) - expected).max() <= 2


@needs_a_compiler
def test_ties_go_to_the_lower_id(kernels):
    logits = np.zeros((1, 5, 8, 8), np.float32)
    logits[:, 2] = logits[:, 4] = 1
    assert (run_kernel(kernels, logits, (64, 64)) == 2).all()


@needs_a_compiler
def test_every_frame_of_a_batch_has_its_own_masks(kernels):
    logits = np.random.default_rng(2).standard_normal((3, 11, 6, 9), dtype=np.float32)
    mask, confidence = run_kernel(kernels, logits, (50, 75), confidence=True)
    for i in range(3):
        one = run_kernel(kernels, logits[i : i + 1], (50, 75), confidence=True)
        assert np.array_equal(mask[i], one[0][0]) and np.array_equal(confidence[i], one[1][0])


@needs_a_compiler
def test_bytes_become_the_same_floats(kernels):
    device, stream = kernels.device, kernels.device.create_stream()
    frame, floats = np.arange(256, dtype=np.uint8), np.empty(256, np.float32)
    source, target = device.allocate(256), device.allocate(1024)
    device.upload(source, frame, stream)
    bytes_to_floats(kernels, source, target, 256, stream)
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
            compile_kernel(name, compute_capability)
        pytest.skip(f"this NVRTC no longer knows sm_{architecture}")
    code = compile_kernel(name, compute_capability)
    assert code.startswith(b"\x7fELF") and name.encode() in code


def test_a_gpu_newer_than_nvrtc_gets_ptx(known_architectures):
    code = compile_kernel("mask_upsampling", (99, 0)).decode()
    assert f".target sm_{max(known_architectures)}" in code and ".entry mask_upsampling" in code


def test_products_and_sums_stay_apart(known_architectures, monkeypatch):
    """exp is made of fused ones, and nothing else."""

    def fused() -> int:
        return compile_kernel("mask_upsampling", (99, 0)).count(b"fma.rn.f32")

    apart = fused()
    monkeypatch.setattr(compiler, "SEPARATE_PRODUCTS", "--fmad=true")
    assert apart <= 3 * cuda_kernels.ROWS < fused()


def test_what_nvrtc_refuses_is_said(known_architectures, monkeypatch):
    monkeypatch.setattr(compiler.pkgutil, "get_data", lambda package, name: b"no_such_type x;")
    with pytest.raises(RuntimeError, match='NVRTC does not compile mask_upsampling.cu for sm_90: .*"no_such_type"'):
        compile_kernel("mask_upsampling", (9, 0))


def test_without_a_compiler_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(compiler, "has_cuda_python", lambda: False)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pycuda" else find(name))
    with pytest.raises(GpuError, match="cuda-python or pycuda"):
        compile_kernel("mask_upsampling", (8, 7))
