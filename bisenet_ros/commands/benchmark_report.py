# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Write the table and the plot of a benchmark's numbers."""

import argparse
import json
from pathlib import Path

from bisenet_ros.errors import BisenetError

EXTRA = "benchmark"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("numbers", type=Path, metavar="NUMBERS.json", help="a file of `bisenet benchmark --json`")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for benchmark.json, benchmark.md, benchmark.png")
    parser.add_argument("--force", action="store_true", help="replace the files of another benchmark in FOLDER")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.benchmark.report import FILES, write_report
    from bisenet_ros.files.result_folder import require_free

    if arguments.numbers.resolve() != (arguments.folder / FILES[0]).resolve():  # else they are the folder's own
        require_free(arguments.folder, FILES, force=arguments.force, option="FOLDER")
    try:
        numbers = json.loads(arguments.numbers.read_text())
        if not numbers["measurements"]:
            raise ValueError("it has no measurements")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        write_report(arguments.folder, numbers)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise BisenetError(f"{arguments.numbers} is no file of `bisenet benchmark --json`: {problem}") from None
    return 0
