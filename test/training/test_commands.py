# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The training commands without the training libraries."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

WITHOUT = ("torch", "lightning", "pydantic", "yaml", "scipy", "rich", "tqdm", "matplotlib", "jinja2")
PROGRAM = f"""
import sys
for package in {WITHOUT}:
    sys.modules[package] = None
from bisenet_ros.cli import main
sys.exit(main(sys.argv[1:]))
"""


def bisenet(*words: str) -> subprocess.CompletedProcess:
    """The command in a Python that has none of these packages, and without a sourced ROS."""
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DISTRO"}
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "recipe.yaml"),
        ("evaluate", "model.onnx", "--data", "camvid", "--root", "."),
        ("export", "best.ckpt", "-o", "model.onnx"),
        ("import-checkpoint", "model.pth", "-o", "model.onnx", "--labels", "cityscapes"),
        ("check-dataset", "camvid", "--root", "."),
        ("explain", "best.ckpt", "image.jpg", "-o", "pictures"),
        ("complexity",),
    ],
    ids=lambda words: words[0],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(words):
    done = bisenet(*words)
    assert done.returncode == 1
    assert "needs the Python package '" in done.stderr and "pip install '.[training]'" in done.stderr
    assert "Traceback" not in done.stderr
