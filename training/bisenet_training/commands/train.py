# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Train a network by a recipe."""

import argparse
import signal
import sys
from pathlib import Path

from bisenet_ros.errors import INTERRUPTED, TERMINATED
from bisenet_training.errors import TrainingDiverged

EXTRA = "training"
DIVERGED = 4
"""The exit code of a run whose loss is not finite any more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a recipe, such as training/recipes/camvid.yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="entries, such as data.root=/data/camvid")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs"), help="checkpoints go to OUTPUT/NAME; default runs"
    )
    resume = parser.add_mutually_exclusive_group()
    resume.add_argument("--resume", action="store_true", help="go on from the last checkpoint of the same output")
    resume.add_argument("--resume-from", type=Path, metavar="FILE", help="go on from another run's checkpoint")
    parser.add_argument("--save-weights", type=Path, metavar="FILE", help="a small checkpoint too, for --resume-from")


def run(arguments: argparse.Namespace) -> int:
    from lightning.pytorch.utilities import rank_zero_only
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    from bisenet_training.trainer.recipe_file import load_recipe
    from bisenet_training.trainer.training_run import train

    recipe = load_recipe(arguments.recipe, arguments.overrides)
    checkpoints = {"resume_from": arguments.resume_from, "save_weights": arguments.save_weights}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Lightning's handler would first call cli's, and not save
    try:
        train(recipe, arguments.output / recipe.name, resume=arguments.resume, **checkpoints)
    except TrainingDiverged as error:  # in every process; the first one says so
        if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
            return 0  # Lightning kills the first process where another one fails
        print(f"bisenet: error: {error}", file=sys.stderr)
        return DIVERGED
    except SIGTERMException:
        return TERMINATED
    except SystemExit:  # Lightning's answer to Ctrl-C
        return INTERRUPTED
    return 0
