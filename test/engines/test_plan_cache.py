# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The cache of TensorRT plans: what it finds, what it refuses, and what it survives."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from bisenet_ros.engines.tensorrt.heartbeat import heartbeat
from bisenet_ros.engines.tensorrt.plan_cache import CachedPlan, PlanCache, default_folder

KEY = {
    "model_sha256": "ab" * 32,
    "gpu": "NVIDIA Orin",
    "compute_capability": [8, 7],
    "flavor": "tensorrt",
    "version": "8.5.2.2",
    "precision": "fp16",
    "frame_size": [1080, 1920],
    "max_batch": 1,
    "tail": "mask",
    "code_sha256": "cd" * 32,
}
PLAN = bytes(range(256)) * 8


def never():
    raise AssertionError("the plan was to come from the cache")


@pytest.fixture
def cache(tmp_path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


def test_a_plan_is_built_once(cache):
    assert cache.lookup(KEY) is None
    assert cache.get(KEY, lambda: PLAN) == CachedPlan(PLAN, was_built=True, is_kept=True)
    assert cache.get(KEY, never) == CachedPlan(PLAN, was_built=False, is_kept=True)
    assert cache.lookup(KEY) == cache.path(KEY)
    assert cache.get(KEY, lambda: b"new", rebuild=True) == CachedPlan(b"new", was_built=True, is_kept=True)


@pytest.mark.parametrize("field", KEY)
def test_every_part_of_the_key_counts(cache, field):
    cache.get(KEY, lambda: PLAN)
    changed = {**KEY, field: {str: "another", int: 2, list: [7, 5]}[type(KEY[field])]}
    assert cache.lookup(changed) is None
    assert cache.get(changed, lambda: b"other").content == b"other"
    assert cache.get(KEY, never).content == PLAN


def test_the_header_can_be_read_by_people(cache):
    cache.get(KEY, lambda: PLAN)
    header = json.loads(cache.path(KEY).read_bytes().split(b"\n")[0])
    assert header["key"] == KEY and header["key"]["gpu"] == "NVIDIA Orin" and header["bytes"] == len(PLAN)


def test_the_cache_is_the_users_alone(cache):
    cache.get(KEY, lambda: PLAN)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert cache.path(KEY).stat().st_mode & 0o777 == 0o600


def flip_a_bit(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


DAMAGE = {
    "truncated: 2000 bytes of 2048": lambda content: content[:-48],
    "corrupt: its SHA-256": flip_a_bit,
    "does not begin with the header": lambda content: b"",
    "begin with the header of a plan": lambda content: content[100:],
    "not begin with the header of a": lambda content: b"[" * 60_000 + content,
    "the plan of another key": lambda content: content.replace(b"NVIDIA Orin", b"NVIDIA Thor", 1),
    "is the plan of another key": lambda content: content.replace(b"plan.1", b"plan.0", 1),
}


@pytest.mark.parametrize("reason", DAMAGE)
def test_a_damaged_or_foreign_plan_is_rebuilt_with_one_line(cache, caplog, reason):
    cache.get(KEY, lambda: PLAN)
    path = cache.path(KEY)
    path.write_bytes(DAMAGE[reason](path.read_bytes()))
    assert cache.lookup(KEY) is None
    assert cache.get(KEY, lambda: b"new").content == b"new"
    (record,) = caplog.records
    assert reason in record.message and str(path) in record.message
    assert cache.get(KEY, never).content == b"new"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may give files away")
def test_a_plan_that_belongs_to_another_user_is_rebuilt(cache, caplog):
    cache.get(KEY, lambda: PLAN)
    os.chown(cache.path(KEY), 12345, 12345)
    assert cache.get(KEY, lambda: b"new").content == b"new"
    assert "belongs to another user (id 12345)" in caplog.text
    assert cache.get(KEY, never).content == b"new"


def test_a_failed_build_leaves_nothing_and_lets_the_next_one_try(cache):
    with pytest.raises(OSError, match="no such device"):
        cache.get(KEY, lambda: (_ for _ in ()).throw(OSError("no such device")))
    assert not cache.path(KEY).exists()
    assert cache.get(KEY, lambda: PLAN).content == PLAN


@pytest.mark.parametrize("folder", ["/proc/bisenet_ros", __file__])
def test_where_nothing_can_be_written_the_plan_is_used_all_the_same(folder, caplog):
    cache = PlanCache(Path(folder))
    assert cache.get(KEY, lambda: PLAN) == CachedPlan(PLAN, was_built=True, is_kept=False)
    (record,) = caplog.records
    assert record.levelname == "WARNING" and f"plans cannot be kept in {folder}" in record.message
    cache.keep_timing_cache(KEY, b"timings")
    assert cache.timing_cache(KEY) == b""


@pytest.fixture
def plain_users_folder():
    """A folder of somebody who is not root: root would write to read-only folders."""
    folder, is_root = Path(tempfile.mkdtemp()), os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    shutil.rmtree(folder)


def test_a_read_only_cache_still_gives_its_plans(plain_users_folder, caplog):
    cache = PlanCache(plain_users_folder)
    cache.get(KEY, lambda: PLAN)
    cache.folder.chmod(0o500)
    assert cache.get(KEY, never).content == PLAN and not caplog.records
    other = {**KEY, "precision": "fp32"}
    assert cache.get(other, lambda: b"other").content == b"other"
    assert "Permission denied" in caplog.text and len(caplog.records) == 1
    cache.folder.chmod(0o700)


def test_a_full_disk_is_a_warning_and_leaves_no_rubbish(cache, caplog):
    """The system's limit on a file's size ends a write half-way, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        assert cache.get(KEY, lambda: PLAN) == CachedPlan(PLAN, was_built=True, is_kept=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert f"{cache.path(KEY)} cannot be kept" in caplog.text
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]
    assert cache.get(KEY, lambda: b"new").content == b"new" == cache.get(KEY, never).content


BUILDER = """
import sys, time
from pathlib import Path
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache

def build():
    with open(sys.argv[2], "a") as file:
        file.write("built\\n")
    time.sleep(0.5)
    return b"plan"

assert PlanCache(Path(sys.argv[1])).get({"gpu": "NVIDIA Orin", "tail": "mask"}, build).content == b"plan"
"""


def test_processes_that_start_together_build_once(tmp_path):
    command = [sys.executable, "-c", BUILDER, str(tmp_path / "plans"), str(tmp_path / "builds")]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "builds").read_text() == "built\n"


def test_threads_build_once_too(cache):
    builds = []

    def build():
        builds.append(1)
        time.sleep(0.1)
        return PLAN

    threads = [threading.Thread(target=cache.get, args=(KEY, build)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_timing_caches_are_kept_for_each_gpu_and_version(cache, caplog):
    assert cache.timing_cache(KEY) == b""
    cache.get(KEY, lambda: PLAN)
    cache.keep_timing_cache(KEY, b"timings")
    assert cache.timing_cache({**KEY, "frame_size": [4, 4], "precision": "fp32"}) == b"timings"
    assert cache.timing_cache({**KEY, "version": "8.6.1"}) == b""
    (path,) = cache.folder.glob("*.timing")
    path.write_bytes(flip_a_bit(path.read_bytes()))
    assert not caplog.records
    assert cache.timing_cache(KEY) == b""
    assert ".timing is built again: it is corrupt" in caplog.text


def test_the_default_folder_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == PlanCache().folder == tmp_path / "bisenet_ros"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".cache" / "bisenet_ros"


def test_a_heartbeat_is_heard_until_the_work_is_done():
    beats = []
    with heartbeat(beats.append, interval=0.02):
        time.sleep(0.15)
    heard = len(beats)
    time.sleep(0.06)
    assert 2 <= heard == len(beats) and beats == sorted(beats) and beats[0] >= 0.02
