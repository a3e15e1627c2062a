# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Real-time semantic segmentation for ROS 2 with BiSeNet V2."""

__version__ = "0.2.0"
