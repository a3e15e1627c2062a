# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The GPU tests themselves: on the stub GPU they pass, or fail where masks are wrong, and are recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from gpu import make_references
from gpu.conftest import QUICK, as_table
from stub_gpu_plugin import SIZES
from tiny_model import save_stem_model

ROOT = Path(__file__).parents[1]
CHOSEN = (
    "(masks_are or batch or told or graph or truncated or refuses or ten_thousand or kernel or again or miou or floats)"
    " and not illegal"  # which needs a process of its own, with the real driver
)
pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="g++ compiles the kernels for the stub")


@pytest.fixture(scope="module")
def references(tmp_path_factory, card):
    folder = tmp_path_factory.mktemp("references")
    save_stem_model(folder / "tiny.onnx", card)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_references, "SIZES", SIZES)
        make_references.make_references(folder, model=folder / "tiny.onnx")
    arrays = dict(np.load(folder / "references.npz"))
    small = {name.replace("160x96", "1280x720"): array for name, array in arrays.items() if name.startswith("160x96")}
    np.savez(folder / "references.npz", **arrays, **small)
    return folder


def run(references: Path, results: Path, chosen: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-p", "stub_gpu_plugin", "-p", "no:cacheprovider", "test/gpu"]
    command += ["--references", references, "--results", results, "--plans", results / "plans", "--frames", 20]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "test")))}
    return subprocess.run(
        [*map(str, command), "-k", chosen], cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=150
    )


def test_the_suite_passes_and_keeps_a_journal_of_every_run(references, tmp_path):
    done = run(references, tmp_path, CHOSEN)
    assert done.returncode == 0, done.stdout.decode()
    arrays = dict(np.load(references / "references.npz"))
    arrays["120x90/fp32/mask"] = 10 - arrays["120x90/fp32/mask"]
    wrong = tmp_path / "wrong"
    shutil.copytree(references, wrong)
    np.savez(wrong / "references.npz", **arrays)
    assert run(wrong, tmp_path, "test_masks_are and 120x90-fp32").returncode == 1

    right, failed = json.loads((tmp_path / "gpu_tests.json").read_text())
    assert set(right["tests"].values()) == {"passed"} and len(right["tests"]) > 20
    assert "test_our_kernel" in next(iter(right["tests"])), "the quick tests come first"
    assert right["results"]["parity 160x96 int8 bindings to logits"]["equal"] >= 0.98
    assert set(failed["tests"].values()) == {"failed"} and failed["machine"]["Python"]


def test_every_quick_test_is_there():
    sources = "".join(path.read_text() for path in (ROOT / "test" / "gpu").glob("test_*.py"))
    assert not [name for name in QUICK if f"def {name.partition('[')[0]}" not in sources]


def test_the_table_has_speed_and_accuracy_by_size_and_precision():
    times = {"whole": 5.0, "copy to device": 1.0, "network": 2.5, "upsampling": 0.5, "copy to host": 1.0}
    table = as_table({"mIoU fp16": {"GPU": 52.6}, "benchmark_paper": {"2048x1024 fp16": times}, "CUDA graph": {}})
    assert table.splitlines()[2:] == ["| paper | 2048x1024 | fp16 | 200 | 333 | 2.500 | 52.6 |"]


def test_without_a_gpu_the_suite_says_so(tmp_path):
    command = [sys.executable, "-m", "pytest", "test/gpu", "--collect-only", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    if done.returncode == 0 and Path("/dev/nvidiactl").exists():
        pytest.skip("there is a GPU")
    assert done.returncode and b"the GPU tests cannot run here: " in done.stdout and not list(tmp_path.iterdir())
