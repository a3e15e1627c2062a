# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images, videos and cameras through an engine, without ROS: masks and overlays as files."""

OUTPUTS = ("mask", "color_mask", "overlay", "confidence")
"""What can be written of each frame; each has a folder of its own."""
