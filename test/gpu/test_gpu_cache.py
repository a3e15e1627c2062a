# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: plans are built once, checked, and never in the way."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

SIZE = (128, 256)
BUILDING = re.compile(r"building the TensorRT plan \S+; this may take minutes")
PREPARE = """
import logging, sys
import numpy as np
from pathlib import Path
from bisenet_ros.engines.tensorrt.engine import TensorRtEngine
from bisenet_ros.model.model_card import read_card
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
model, cache = map(Path, sys.argv[1:])
engine = TensorRtEngine(model, read_card(model), precision="fp16", cache=cache)
engine.segment(np.zeros((128, 256, 3), np.uint8))
engine.close()
"""


@pytest.fixture(autouse=True)
def everything_is_logged(caplog):
    caplog.set_level(logging.INFO)


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def cache(create, plans, tmp_path, frame):
    """A cache that has the plans for the frame; they are built once, as that may take a minute."""
    built = plans.parent / "small"
    create(cache=built).segment(frame)
    return shutil.copytree(built, tmp_path / "plans")


def test_a_second_engine_builds_and_measures_nothing(create, tmp_path, frame, caplog, results):
    first = create(cache=tmp_path)
    expected = first.segment(frame)
    built, tails = len(BUILDING.findall(caplog.text)), first._gpu.tails
    assert built == len(tails) == len(list(tmp_path.glob("*.plan")))
    results["builds"] = [
        record.getMessage() for record in caplog.records if "by where their plan" in record.getMessage()
    ]
    caplog.clear()
    assert np.array_equal(create(cache=tmp_path).segment(frame), expected)
    assert not BUILDING.search(caplog.text) and "by where their plan ends" not in caplog.text


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: content[:-1] + b"\0\1"],
    ids=["truncated", "empty", "longer"],
)
def test_a_damaged_plan_is_built_again(create, cache, frame, caplog, damage):
    expected = create(cache=cache).segment(frame)
    for path in cache.glob("*.plan"):
        path.write_bytes(damage(path.read_bytes()))
    caplog.clear()
    assert np.mean(create(cache=cache).segment(frame) == expected) >= 0.99
    assert "is built again" in caplog.text


def test_a_plan_that_tensorrt_refuses_is_built_again(create, cache, frame, caplog):
    engine = create(cache=cache)
    expected, gpu = engine.segment(frame), engine._gpu
    for tail in gpu.tails:
        gpu.plans.cache.get(gpu.plans.key(gpu.request(SIZE, tail)), lambda: b"no plan at all", rebuild=True)
    caplog.clear()
    assert np.mean(create(cache=cache).segment(frame) == expected) >= 0.99
    assert "is built again" in caplog.text


def test_two_processes_that_start_together_build_once(references, tmp_path):
    command = [sys.executable, "-c", PREPARE, references / "model.onnx", tmp_path]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    logs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(len(BUILDING.findall(log)) for log in logs) == len(list(tmp_path.glob("*.plan"))) > 0


def test_a_cache_that_cannot_be_written_is_a_warning(create, tmp_path, frame, caplog):
    (tmp_path / "file").write_text("no folder")
    assert create(cache=tmp_path / "file").segment(frame).shape == SIZE
    assert "cannot be kept" in caplog.text
