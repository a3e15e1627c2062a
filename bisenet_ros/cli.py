"""The `bisenet` command: one subcommand per tool, each imported only when it is called.

A vehicle has no torch and no training library, so that a missing one concerns only the subcommands that need it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Dict, List, NamedTuple, Optional


class Command(NamedTuple):
    """A module with `add_arguments(parser)` and `run(arguments) -> exit code`, and its line in the help."""

    module: str
    summary: str


COMMANDS: Dict[str, Command] = {
    "complexity": Command("bisenet_training.complexity", "print a network's parameters and GFLOPs"),
    "check-dataset": Command("bisenet_training.check_dataset", "read a data set and name what is wrong with it"),
    "train": Command("bisenet_training.train", "train a network by a recipe"),
    "search": Command("bisenet_training.search", "find out what improves a recipe, then train the final weights"),
    "evaluate": Command("bisenet_training.evaluate", "score a model or a checkpoint on a data set"),
    "explain": Command("bisenet_training.explain", "draw what the branches of a checkpoint look at"),
    "build-engine": Command("bisenet_ros.build_engine", "build a TensorRT plan ahead of time"),
    "benchmark": Command("bisenet_ros.benchmark", "time the engines installed here on a model file"),
    "export": Command("bisenet_ros.export", "make a model file of a checkpoint"),
    "import-checkpoint": Command("bisenet_training.import_checkpoint", "make a model file of a public checkpoint"),
}


def main(argv: Optional[List[str]] = None) -> int:
    name, *rest = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    command = COMMANDS.get(name)
    if command is None:
        return _fail(f"expected one of the commands {', '.join(COMMANDS)}, got {name!r}")
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        return _fail(
            f"`bisenet {name}` needs the Python package {error.name!r}, which is not installed; "
            "install the training tools with `pip install '.[training]'` in the checkout"
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
