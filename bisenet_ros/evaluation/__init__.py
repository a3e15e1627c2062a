# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Masks of bags and data sets, measured and reported: scores, temporal consistency, comparisons."""

OUTPUTS = ("mask", "color_mask", "overlay")
"""What a bag of masks may hold; the first is always there."""
