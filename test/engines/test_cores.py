# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cores that a container's quota allows are those that the runtimes use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

import pytest
from openvino import properties

from bisenet_ros.engines.cpu import cores, onnxruntime_engine, openvino_engine
from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.model_card import read_card

MODEL = package_file(SHIPPED_MODEL)


def v1(quota: int) -> Dict[str, str]:
    return {"cpu.cfs_quota_us": f"{quota}\n", "cpu.cfs_period_us": "100000\n"}


@pytest.mark.parametrize(
    "membership, groups, expected",
    [
        ("0::/", {"": {"cpu.max": "200000 100000\n"}}, 2),  # a container
        ("0::/", {"": {"cpu.max": "max 100000\n"}}, 8),
        ("0::/", {"": {"cpu.max": "250000 100000\n"}}, 3),
        ("0::/", {"": {"cpu.max": "10000 100000\n"}}, 1),
        ("0::/", {"": {"cpu.max": "3200000 100000\n"}}, 8),  # more than there are
        ("0::/a/b", {"a": {"cpu.max": "300000 100000\n"}, "a/b": {"cpu.max": "max 100000\n"}}, 3),  # a group around it
        ("0::/a/b", {"a": {"cpu.max": "300000 100000\n"}, "a/b": {"cpu.max": "100000 50000\n"}}, 2),
        ("3:cpuset:/\n4:cpu,cpuacct:/docker/1f", {"cpu,cpuacct": v1(400000)}, 4),  # the path is that on the host
        ("4:cpu,cpuacct:/docker/1f", {"cpu,cpuacct/docker/1f": v1(100000), "cpu,cpuacct": v1(-1)}, 1),
        (
            "4:cpuacct,cpu:/docker/1f",
            {"cpu,cpuacct": v1(400000), "cpu": v1(400000)},
            4,
        ),  # CentOS 7; the second is a link
        ("1:cpuacct:/", {"cpuacct": v1(100000)}, 8),  # counts, and limits nothing
        ("0::/", {}, 8),  # the root group of a machine has no limit
        ("0::/", {"": {"cpu.max": "damaged\n"}}, 8),
        (None, {}, 8),  # no Linux with control groups
    ],
)
def test_the_smallest_quota_around_the_process_counts(tmp_path, monkeypatch, membership, groups, expected):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "MEMBERSHIP", tmp_path / "membership")
    monkeypatch.setattr(cores, "CONTROL_GROUPS", tmp_path / "groups")
    if membership is not None:
        (tmp_path / "membership").write_text(f"{membership}\n")
    for group, files in groups.items():
        folder = tmp_path / "groups" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(content)
    assert usable_cores() == expected


def test_without_a_quota_the_affinity_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(cores, "CONTROL_GROUPS", tmp_path)
    assert usable_cores() == len(os.sched_getaffinity(0))


def test_runtimes_have_as_many_threads_as_the_quota_allows(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    for module in (openvino_engine, onnxruntime_engine):
        monkeypatch.setattr(module, "usable_cores", lambda: 1)
    before = threads()
    onnx = OnnxRuntimeEngine(Path(MODEL), read_card(MODEL))
    assert threads() == before  # the caller's own is the one
    onnx.close()
    engine = OpenVinoEngine(Path(MODEL), read_card(MODEL), precision="fp32")
    assert engine._network.get_property(properties.inference_num_threads) == 1
    assert not engine._network.get_property(properties.hint.enable_cpu_pinning)


def threads() -> int:
    return len(os.listdir("/proc/self/task"))
