# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The shared-memory profile is set, unless the user has set something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisenet_ros.node.fastdds import PROFILE_VARIABLES, TRANSPORTS_VARIABLE, shared_memory_environment

PROFILE = str(Path(__file__).parents[2] / "config" / "fastdds_shared_memory.xml")


@pytest.mark.parametrize("name", [*PROFILE_VARIABLES, TRANSPORTS_VARIABLE])
def test_dds_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    assert shared_memory_environment() == dict.fromkeys(PROFILE_VARIABLES, PROFILE)
    monkeypatch.setenv(name, "set by the user")
    assert shared_memory_environment() == {}
