# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Engines: what runs a model on this machine. One interface, one file per runtime."""

from bisenet_ros.engines.engine import Engine
from bisenet_ros.engines.loader import load_engine

__all__ = ["Engine", "load_engine"]
