# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Installed files are found, or the places that were searched are named."""

from __future__ import annotations

import os

import pytest

from bisenet_ros.files.package_share import package_file


def test_a_missing_file_is_named_with_the_places_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{os.sep}first{os.pathsep}{os.sep}second")
    with pytest.raises(FileNotFoundError, match=r"models/none\.onnx .*/first/share/.*/second/share/.*pip install"):
        package_file("models/none.onnx")
