# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Names of files: their order, and what must not be in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.file_names import check_path, natural_order


def test_numbers_are_sorted_by_value():
    names = ["a2", "a10", "a10b", "b1"]
    assert [path.name for path in natural_order(map(Path, sorted(names)))] == names


def test_natural_order_is_by_decimal_digits_alone():
    paths = [Path(name) for name in ("4²10.png", "4²9.png", "area²_3.png")]
    assert natural_order(paths[::-1]) == [paths[1], paths[0], paths[2]]


def test_a_path_that_libraries_would_misread_is_refused():
    check_path(Path("straße"), forbidden="#?")
    with pytest.raises(BisenetError, match="expected a path in UTF-8, got .*; choose another name"):
        check_path(Path(os.fsdecode(b"stra\xdfe")))
    with pytest.raises(BisenetError, match="expected a path without any of # [?], got '.*what[?]'"):
        check_path(Path("what?"), forbidden="#?")
