# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images: encodings of messages, image files, label files, colors."""

OPACITY = 0.5
"""Opacity of the colors in an overlay, 0 to 1, where nothing else is asked for."""
