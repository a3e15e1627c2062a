# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags, read and written without ROS."""

STORAGES = ("sqlite3", "mcap")
"""The formats of a bag's files; the first is the default."""
