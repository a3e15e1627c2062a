# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measures the node from the camera's publisher to the mask's listener: latency, loss and CPU time."""
