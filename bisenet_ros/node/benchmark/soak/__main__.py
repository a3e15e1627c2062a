"""`make soak`: the node at full rate for long, ended by SIGINT."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from pathlib import Path

from bisenet_ros.benchmark.machine import describe_load
from bisenet_ros.commands.benchmark_node import add_setup_arguments, read_setup
from bisenet_ros.node.benchmark.rig import require_packages
from bisenet_ros.node.benchmark.soak.run import soak, write_soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bisenet_ros.node.benchmark.soak", description=__doc__)
    add_setup_arguments(parser)
    parser.add_argument("--minutes", type=float, default=30, metavar="M", help="default 30")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("soak_results"), metavar="FOLDER", help="default soak_results"
    )
    try:
        return _run(parser.parse_args())
    except (ValueError, OSError) as error:
        print(f"soak: error: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    if not 0 < arguments.minutes < math.inf:
        raise ValueError(f"--minutes must be a number above 0, got {arguments.minutes:g}")
    setup = read_setup(arguments)
    require_packages("rclpy", "psutil", "matplotlib")
    arguments.output.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the processes are ended too
    load = describe_load(os.getloadavg()[0], cores=len(os.sched_getaffinity(0)))
    found = soak(setup, seconds=60 * arguments.minutes)
    write_soak(found, arguments.output, load=load)
    for goal in found.goals:
        print(f"{goal.goal}: {goal.verdict}, {goal.measured}")
    print(f"numbers and plot are in {arguments.output}/")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
