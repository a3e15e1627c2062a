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
    "train": Command("bisenet_training.train", "train a network by a recipe"),
    "export": Command("bisenet_ros.export", "make a model file of a checkpoint"),
}


def main(argv: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="bisenet", description="Real-time road segmentation with BiSeNet V2.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    argv = sys.argv[1:] if argv is None else argv
    called = argv[0] if argv else None
    for name, command in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=command.summary, description=command.summary)
        if name == called:
            try:
                module = importlib.import_module(command.module)
            except ModuleNotFoundError as error:
                return _fail(
                    f"`bisenet {name}` needs the Python package {error.name!r}, which is not installed; "
                    "install the training tools with `pip install '.[training]'`"
                )
            module.add_arguments(subparser)
    arguments = parser.parse_args(argv)
    try:
        return module.run(arguments)
    except (ValueError, OSError) as error:
        return _fail(str(error))


def _fail(message: str) -> int:
    print(f"bisenet: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
