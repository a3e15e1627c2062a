# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The shared-memory profile is set, unless the user has set something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisenet_ros.node import fastdds
from bisenet_ros.node.fastdds import PROFILE_VARIABLES, TRANSPORTS_VARIABLE, profile_variable, shared_memory_environment
from bisenet_ros.node.ros_environment import describe_ros

PROFILE = str(Path(__file__).parents[2] / "config" / "fastdds_shared_memory.xml")


@pytest.mark.parametrize("name", [*PROFILE_VARIABLES, TRANSPORTS_VARIABLE])
def test_dds_settings_of_the_user_are_kept(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    assert shared_memory_environment() == {profile_variable(): PROFILE}
    monkeypatch.setenv(name, "set by the user")
    assert shared_memory_environment() == {}


@pytest.mark.parametrize(
    "middleware, is_left_alone",
    [("", False), ("rmw_fastrtps_cpp", False), ("rmw_cyclonedds_cpp", True), ("rmw_zenoh_cpp", True)],
)
def test_other_middlewares_get_no_profile(
    monkeypatch: pytest.MonkeyPatch, middleware: str, is_left_alone: bool
) -> None:
    for variable in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("RMW_IMPLEMENTATION", middleware)
    assert (shared_memory_environment() == {}) == is_left_alone
    assert describe_ros()["Fast DDS profile"].startswith("none" if is_left_alone else PROFILE)


@pytest.mark.parametrize(
    "rclpy, variable, has_profile",
    [("3.3.16", "1", False), ("3.3.16", "0", True), ("3.3.16", "", True), ("7.1.5", "1", True), ("", "1", True)],
)
def test_the_profile_does_not_undo_ros_localhost_only(
    monkeypatch: pytest.MonkeyPatch, rclpy: str, variable: str, has_profile: bool
) -> None:
    """On Humble the transports of a profile stay open to the network beside the one for this machine."""
    for name in (*PROFILE_VARIABLES, TRANSPORTS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fastdds, "installed_version", {"rclpy": rclpy}.__getitem__)
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", variable)
    assert bool(shared_memory_environment()) == has_profile
    assert describe_ros()["Fast DDS profile"].startswith(PROFILE if has_profile else "none, as it would undo")


@pytest.mark.parametrize(
    "rclpy, variable",
    [
        ("3.3.16", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("7.1.5", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("9.1.2", "FASTDDS_DEFAULT_PROFILES_FILE"),
        ("10.0.0", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_variable_is_that_of_the_distribution(monkeypatch: pytest.MonkeyPatch, rclpy: str, variable: str) -> None:
    """Humble, Jazzy, Kilted and newer: Fast DDS 3 warns whenever the older variable is set."""
    monkeypatch.setattr(fastdds, "installed_version", {"rclpy": rclpy}.__getitem__)
    assert profile_variable() == variable
