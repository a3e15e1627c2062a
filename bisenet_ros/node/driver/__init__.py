# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drives a node: starts it, plays cameras, listens, counts what became of every frame, and ends it."""
