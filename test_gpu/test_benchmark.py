"""On the GPU: `bisenet benchmark` over frame sizes and precisions, its report kept with the other results."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from bisenet_ros.benchmark import SWEEP_SIZES


@pytest.fixture
def benchmark(references, plans, results, pytestconfig):
    """Runs the command with its options; NAME.json has the numbers."""
    folder = pytestconfig.getoption("results").absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def run(name: str, *options: str) -> None:
        numbers, model = folder / f"{name}.json", references / "model.onnx"
        command = [sys.executable, "-m", "bisenet_ros.cli", "benchmark", model, "--device", "cuda", "--json", numbers]
        command += ["--iterations", str(pytestconfig.getoption("iterations"))]
        subprocess.run([*command, *options], check=True, env={**os.environ, "XDG_CACHE_HOME": str(plans)})
        assert json.loads(numbers.read_text())
        results[name] = numbers.name

    return run


def test_benchmark_sweep(benchmark, pytestconfig):
    """The plot needs matplotlib; without it the same numbers are written as JSON."""
    if importlib.util.find_spec("matplotlib"):
        benchmark("benchmark_sweep", "--sweep", "-o", str(pytestconfig.getoption("results") / "benchmark"))
        return
    for precision in ("fp32", "fp16"):
        benchmark(f"benchmark_{precision}", "--precision", precision, "--size", *SWEEP_SIZES)


def test_benchmark_by_the_papers_protocol(benchmark):
    """2048x1024 in, 1024x512 for the network."""
    benchmark("benchmark_paper", "--network-size", "half")
