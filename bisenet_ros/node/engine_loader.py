# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Loads the engine that the node's parameters choose."""

import os
from pathlib import Path
from typing import Callable, Optional

from rclpy.impl.rcutils_logger import RcutilsLogger

from bisenet_ros.engines import Engine
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.node.parameters import Parameters

LoadEngine = Callable[..., Engine]
"""`bisenet_ros.engines.load_engine`, or what stands for it in a test."""


def load_chosen_engine(load: LoadEngine, parameters: Parameters, logger: RcutilsLogger) -> Engine:
    """The engine of the parameters model, device, precision and others; logs what it is and why. Raises as `load`."""
    model = _path(parameters["model"]) or package_file(SHIPPED_MODEL)
    engine = load(
        model,
        device=parameters["device"],
        precision=parameters["precision"],
        network_size=parameters["network_size"],
        class_map=_path(parameters["class_map"]),
        cache=_path(parameters["plan_cache"]),
        max_batch=len(parameters["cameras"]),
    )
    reason = f" ({engine.precision_reason})" if engine.precision_reason else ""
    logger.info(f"{model}: {len(engine.classes)} classes, {engine.description}{reason}")
    return engine


def _path(text: str) -> Optional[Path]:
    """The path that a parameter holds; None where it is empty."""
    return Path(os.path.expanduser(text)) if text else None
