# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: the only place that knows ROS."""
