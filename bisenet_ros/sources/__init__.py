# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images to work on that are no ROS messages: folders, videos and data sets."""
