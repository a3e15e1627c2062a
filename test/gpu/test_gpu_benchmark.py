# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: `bisenet benchmark` over frame sizes and precisions, its report kept with the other results."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def benchmark(references, plans, results, pytestconfig):
    """Runs the command with its options; NAME.json has the numbers."""
    folder = pytestconfig.getoption("results").absolute()
    folder.mkdir(parents=True, exist_ok=True)

    def run(name: str, model: str, *options: str) -> None:
        numbers = folder / f"{name}.json"
        command = [sys.executable, "-m", "bisenet_ros.cli", "benchmark", references / model, "--device", "cuda"]
        for option in ("iterations", "seconds"):
            command += [f"--{option}", str(pytestconfig.getoption(option))]
        # Where matplotlib is missing, `bisenet benchmark report` draws the plot on another machine.
        if "--sweep" in options and importlib.util.find_spec("matplotlib"):
            command += ["-o", folder / name]
        environment = {**os.environ, "XDG_CACHE_HOME": str(plans.parent)}
        subprocess.run([*command, "--json", numbers, "--force", *options], check=True, env=environment)
        found = json.loads(numbers.read_text())["measurements"]
        results[name] = {
            f"{entry['frame_size']} {entry['precision']}": {
                "whole": entry["whole"]["median_ms"],
                **{stage: times["median_ms"] for stage, times in entry["stages"].items()},
            }
            for entry in found
        }
        assert found and all(entry["stages"]["network"]["median_ms"] > 0 for entry in found)

    return run


def test_benchmark_by_the_papers_protocol(benchmark):
    """2048x1024 in, 1024x512 for the network."""
    benchmark("benchmark_paper", "model.onnx", "--network-size", "half")


def test_benchmark_sweep(benchmark):
    """fp32 and fp16 in turn."""
    benchmark("benchmark_sweep", "model.onnx", "--sweep")


def test_benchmark_sweep_int8(benchmark):
    benchmark("benchmark_sweep_int8", "int8.onnx", "--sweep")
