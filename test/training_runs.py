# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Command lines of short training runs, and what such runs leave."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, Dict, List

import torch

RECIPE = Path(__file__).parents[1] / "training" / "recipes" / "camvid.yaml"


def small_run(camvid: Path, output: Path, **overrides: Any) -> List[str]:
    """A command line; overrides have "__" for the dot."""
    entries = {
        "data.root": camvid,
        "data.network_size": "[96,128]",
        "augmentation.crop": "[64,96]",
        "augmentation.scales": "[0.5,0.67,0.83,1.0,1.17,1.33]",
        "network.width": 0.25,
        "network.head_width": 16,
        "run.batch_size": 4,
        "run.workers": 0,
        "run.precision": "32-true",
        "optimizer.learning_rate": 0.025,
        "run.validate_every": 2,
        "run.iterations": 4,
        **{key.replace("__", "."): value for key, value in overrides.items()},
    }
    return ["train", str(RECIPE), *(f"{key}={value}" for key, value in entries.items()), "-o", str(output)]


def checkpoint(output: Path, name: str = "last") -> Dict[str, Any]:
    return torch.load(output / "camvid" / f"{name}.ckpt", weights_only=True)


def logged(output: Path, column: str) -> List[float]:
    """The values of a column in the CSV logs of all runs, in order."""
    logs = sorted((output / "camvid" / "csv").glob("*/metrics.csv"))
    return [float(row[column]) for log in logs for row in csv.DictReader(log.open()) if row.get(column)]


def same_weights(one: Dict[str, Any], other: Dict[str, Any]) -> bool:
    return one["state_dict"].keys() == other["state_dict"].keys() and all(
        torch.equal(tensor, other["state_dict"][key]) for key, tensor in one["state_dict"].items()
    )
