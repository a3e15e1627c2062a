# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Segment recorded bags, and report on the masks."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from bisenet_ros.bags import STORAGES
from bisenet_ros.commands._arguments import add_engine_arguments, list_of, number
from bisenet_ros.commands._messages import print_warning
from bisenet_ros.errors import IMPERFECT, INTERRUPTED, BisenetError
from bisenet_ros.evaluation import OUTPUTS
from bisenet_ros.files.file_names import printable
from bisenet_ros.files.installed_package import is_importable
from bisenet_ros.files.missing_package import how_to_install

if TYPE_CHECKING:
    from bisenet_ros.evaluation.bag_evaluation import Replay, Request
    from bisenet_ros.evaluation.bag_outcome import Outcome

EXTRA = "evaluation"
DESCRIPTION = f"""\
Segments every frame of ROS 2 bags (sqlite3 or MCAP, compressed or not; folders, files, or folders of bags) and reports
on it; no ROS is needed. OUT gets the masks as a bag (OUT/masks, or OUT/NAME/masks for several bags), report.html,
report.json, report.csv and frames.jsonl. It appears when all is done; until then the work lies in OUT.partial, and the
same command goes on with the bags that are not done. Exit codes: 0 all is well; 1 an error;
{IMPERFECT} done, but a bag was damaged, left out or has other messages than it promises, messages could not be read,
ground truth is missing or may be of other frames, the report has no pictures, the node's masks differ, or its replay
failed, which the report names; {INTERRUPTED} stopped by Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("bags", type=Path, nargs="*", metavar="BAG", help="bags, or folders of bags")
    parser.add_argument("--model", type=Path, required=True, help="a model file (.onnx)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument(
        "--topic",
        dest="topics",
        nargs="+",
        action="extend",
        default=[],
        metavar="T",
        help="image topics to segment, after the bags; default: the only one that there is",
    )
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument(
        "--ground-truth-topic",
        "--truth-topic",
        dest="truth_topic",
        metavar="T",
        help="ground truth in the bag: masks of ids (mono8), by stamp",
    )
    truth.add_argument(
        "--ground-truth",
        "--truth-dir",
        dest="truth_folder",
        type=Path,
        metavar="DIR",
        help="ground truth as <stamp in ns>.png, one channel, 255 is ignored",
    )
    parser.add_argument(
        "--topics",
        dest="outputs",
        type=list_of(OUTPUTS, always=OUTPUTS[:1]),
        default=OUTPUTS[:1],
        metavar="LIST",
        help=f"topics to write into the bag of masks, of {','.join(OUTPUTS)}; default mask, which is always there",
    )
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0], help="of the masks; MCAP is far smaller")
    add_engine_arguments(parser)
    groups = "merges the model's classes, and the ground truth's, into groups, such as config/class_maps/drivable.yaml"
    parser.add_argument("--class-map", type=Path, metavar="YAML", help=groups)
    side_by_side = parser.add_mutually_exclusive_group()
    side_by_side.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="bags side by side, in processes that share the cores"
    )
    side_by_side.add_argument(
        "--dask",
        type=_address,
        metavar="ADDRESS",
        help="bags side by side on the cluster of the Dask scheduler at this address",
    )
    parser.add_argument(
        "--through-node",
        action="store_true",
        help="also replay the bags in real time through a node of its own, and report what differs; needs ROS 2",
    )
    pace = number(lambda rate: 0 < rate <= 100, expected="a pace above 0 (at most 100)")
    parser.add_argument("--rate", type=pace, help="of that replay: 2 is twice the bag's pace; default 1")
    parser.add_argument("--restart", action="store_true", help="throw away what an earlier run left in OUT")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.evaluation.bag_evaluation import Request, evaluate_bags

    if not arguments.bags:
        raise BisenetError("no bag given; write the bags before --topic, which takes all names that follow it")
    if arguments.rate and not arguments.through_node:
        raise BisenetError("--rate is the pace of the replay; add --through-node, or leave it out")
    if arguments.dask and not is_importable("distributed"):
        raise BisenetError(f"--dask needs the package distributed; {how_to_install('distributed', extra='cluster')}")
    arguments.rate = arguments.rate or Request.rate
    request = Request(**{field.name: getattr(arguments, field.name) for field in fields(Request)})
    replay = _find_replay() if arguments.through_node else None  # a missing package is told before an hour of work
    try:
        outcome = evaluate_bags(request, replay=replay)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with the bags that are not done", file=sys.stderr)
        return INTERRUPTED
    return show(request, outcome)


def show(request: Request, outcome: Outcome) -> int:
    """Prints what came of a run; the exit code."""
    if not outcome.scores:
        notices = "" if outcome.exit_code == 0 else "; what it warned of is in report.html there"
        print(f"{request.output} is finished already{notices}; --restart makes it again")
        return outcome.exit_code
    for warning in outcome.warnings:
        print_warning(warning)
    print(printable(outcome.scores))
    for found in outcome.replays:
        frames = f"{found.received} of {found.sent} frames of {found.bag} {found.topic}"
        print(printable(f"through the node: {frames}, {found.differing_pixels} pixels differ"))
    print(f"report: {request.output / 'report.html'}")
    return outcome.exit_code


def _find_replay() -> Replay:
    try:
        from bisenet_ros.node.driver.bag_replay import replay_through_node
    except ModuleNotFoundError as error:
        raise BisenetError(
            f"--through-node needs the Python package {error.name!r}; {how_to_install(error.name or '', extra='ros')}"
        ) from error
    return replay_through_node


def _address(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError(
            "expected the address of a Dask scheduler, such as tcp://192.168.1.10:8786, got ''"
        )
    return text


def _jobs(text: str) -> int:
    most = 4 * (os.cpu_count() or 1)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected 1 to {most} processes, got {text!r}")
    return int(text)
