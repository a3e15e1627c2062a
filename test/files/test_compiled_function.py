# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Compiled functions run on any disk."""

from __future__ import annotations

import errno
import logging
import os
import re

import numba.core.caching
import numpy as np
import pytest

from bisenet_ros.files.compiled_function import compiled


def make_double():
    @compiled(fastmath={"contract"})
    def double(values):
        for i in range(values.shape[0]):
            values[i] *= 2

    return double


def assert_doubles(double) -> None:
    for kind in (np.float32, np.int64):
        values = np.arange(3, dtype=kind)
        double(values)
        assert values.tolist() == [0, 2, 4]


def test_the_machine_code_is_kept(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert_doubles(make_double())
    assert [*tmp_path.rglob("*.nbc")] and not caplog.records


def test_without_a_folder_to_write_to_it_is_compiled_again(monkeypatch, caplog):
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
    with caplog.at_level(logging.WARNING):
        assert_doubles(make_double())
    (record,) = caplog.records
    assert "compiled code cannot be kept on disk" in record.getMessage() and "no locator" in record.getMessage()


@pytest.mark.parametrize("suffix, size", [(".nbi", 0), (".nbi", 20), (".nbc", 0), (".nbc", 20)])
def test_files_that_a_power_cut_damaged_are_made_again(tmp_path, monkeypatch, caplog, suffix, size):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert_doubles(make_double())
    for file in tmp_path.rglob(f"*{suffix}"):
        os.truncate(file, size)
    assert_doubles(make_double())
    (record,) = caplog.records
    assert re.search(rf"the compiled code in {tmp_path}/.* is damaged .* and made again", record.getMessage())
    assert_doubles(make_double())
    assert_doubles(make_double())
    assert len(caplog.records) == 1


def test_a_call_that_cannot_be_compiled_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    double = make_double()
    for _ in range(2):
        with pytest.raises(numba.TypingError):
            double("text")


@pytest.mark.parametrize("method, code", [("save", errno.ENOSPC), ("load", errno.EACCES)])
def test_a_disk_that_fails_ends_nothing(tmp_path, monkeypatch, caplog, method, code):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, method, fail)
    with caplog.at_level(logging.WARNING):
        assert_doubles(make_double())
    (record,) = caplog.records
    assert os.strerror(code) in record.getMessage()
