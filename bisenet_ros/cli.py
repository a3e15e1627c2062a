"""The `bisenet` command: one subcommand per tool, each imported only when it is called.

A vehicle has no torch and no training library, so that a missing one concerns only the subcommands that need it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Dict, List, NamedTuple, Optional


class Command(NamedTuple):
    """A module with `add_arguments(parser)` and `run(arguments) -> exit code`, and its line in the help.

    Attributes:
        extra: of setup.py, the one that brings the packages it needs.
    """

    module: str
    summary: str
    extra: str = "training"


COMMANDS: Dict[str, Command] = {
    "complexity": Command("bisenet_training.complexity", "print a network's parameters and GFLOPs"),
    "check-dataset": Command("bisenet_training.check_dataset", "read a data set and name what is wrong with it"),
    "train": Command("bisenet_training.train", "train a network by a recipe"),
    "search": Command("bisenet_training.search", "find out what improves a recipe, then train the final weights"),
    "evaluate": Command("bisenet_training.evaluate", "score a model or a checkpoint on a data set"),
    "explain": Command("bisenet_training.explain", "draw what the branches of a checkpoint look at"),
    "build-engine": Command("bisenet_ros.build_engine", "build a TensorRT plan ahead of time"),
    "benchmark": Command("bisenet_ros.benchmark", "time the engines installed here on a model file"),
    "benchmark node": Command(
        "bisenet_ros.node.benchmark.command", "measure the ROS 2 node from camera to listener", extra="benchmark"
    ),
    "evaluate-bag": Command(
        "bisenet_ros.evaluation.evaluate_bag", "masks and a report of recorded bags", extra="evaluation"
    ),
    "compare": Command(
        "bisenet_ros.evaluation.report.compare", "set two reports of one bag side by side", extra="evaluation"
    ),
    "make-bag": Command("bisenet_ros.bags.make_bag", "make a bag of images, a video or a data set", extra="evaluation"),
    "export": Command("bisenet_ros.export", "make a model file of a checkpoint"),
    "import-checkpoint": Command("bisenet_training.import_checkpoint", "make a model file of a public checkpoint"),
}


def main(argv: Optional[List[str]] = None) -> int:
    words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if words[0] in ("-h", "--help"):
        print(_usage())
        return 0
    # Names of two words come first.
    length = 2 if " ".join(words[:2]) in COMMANDS else 1
    name, rest = " ".join(words[:length]), words[length:]
    command = COMMANDS.get(name)
    if command is None:
        return _fail(f"expected one of the commands {', '.join(COMMANDS)}, got {name!r}")
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        return _fail(
            f"`bisenet {name}` needs the Python package {error.name!r}, which is not installed; "
            f"install what it needs with `pip install '.[{command.extra}]'` in the checkout"
        )
    parser = argparse.ArgumentParser(prog=f"bisenet {name}", description=command.summary)
    module.add_arguments(parser)
    try:
        return module.run(parser.parse_intermixed_args(rest))
    except (ValueError, OSError) as error:
        return _fail(str(error))


def _usage() -> str:
    widest = max(map(len, COMMANDS))
    lines = [f"  {name:<{widest}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: bisenet COMMAND ...", "", *lines, "", "`bisenet COMMAND --help` tells the rest."])


def _fail(message: str) -> int:
    print(f"bisenet: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
