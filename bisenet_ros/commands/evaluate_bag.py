"""The command `bisenet evaluate-bag BAG --model M -o OUT`: masks of recorded bags as a bag, and a report."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Tuple

from bisenet_ros.bags.bag_writer import STORAGES
from bisenet_ros.engines import load_engine
from bisenet_ros.engines.loader import DEVICES, PRECISIONS
from bisenet_ros.evaluation.bag_evaluation import IMPERFECT, INTERRUPTED, Request, evaluate_bags
from bisenet_ros.evaluation.bag_segmentation import OUTPUTS

DESCRIPTION = f"""\
Segments every frame of ROS 2 bags (sqlite3 or MCAP, compressed or not; folders, files, or folders of bags) and reports
on it; no ROS is needed. OUT gets the masks as a bag (OUT/masks, or OUT/NAME/masks for several bags), report.html,
report.json, report.csv and frames.jsonl. It appears when all is done; until then the work lies in OUT.partial, and the
same command goes on there where it was stopped. Exit codes: 0 all is well; 1 an error, there is no OUT; {IMPERFECT}
done, but a bag was damaged, messages could not be read, the node's masks differ, or its replay failed, which the report
names; {INTERRUPTED} stopped by Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("bags", type=Path, nargs="*", metavar="BAG", help="bags, or folders of bags")
    parser.add_argument("--model", type=Path, required=True, help="a model file (.onnx)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument(
        "--topic",
        nargs="+",
        action="extend",
        default=[],
        metavar="T",
        help="image topics, after the bags; default: the only one that there is",
    )
    truth = parser.add_mutually_exclusive_group()
    truth.add_argument("--truth-topic", metavar="T", help="masks of ids in the bag (mono8), by the frames' stamps")
    truth.add_argument(
        "--truth-dir", type=Path, metavar="DIR", help="masks as <stamp in ns>.png, one channel, 255 is ignored"
    )
    parser.add_argument(
        "--topics",
        type=_outputs,
        default=OUTPUTS[:1],
        metavar="LIST",
        help=f"what the bag of masks holds, of {','.join(OUTPUTS)}; default mask, which is always there",
    )
    parser.add_argument("--storage", choices=STORAGES, default=STORAGES[0], help="of the masks; MCAP is far smaller")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes, which share the cores; default 1"
    )
    parser.add_argument(
        "--through-node",
        action="store_true",
        help="also replay the bags in real time through the running node, and report what differs; needs ROS 2",
    )
    parser.add_argument("--rate", type=_rate, default=1.0, help="of that replay: 2 is twice the bag's pace; default 1")
    parser.add_argument("--restart", action="store_true", help="throw away what an earlier run left in OUT")


def run(arguments: argparse.Namespace) -> int:
    if not arguments.bags:
        raise ValueError("no bag given; write the bags before --topic, which takes all names that follow it")
    request = Request(
        bags=arguments.bags,
        model=arguments.model,
        output=arguments.output,
        device=arguments.device,
        precision=arguments.precision,
        topics=arguments.topic,
        truth_topic=arguments.truth_topic,
        truth_folder=arguments.truth_dir,
        outputs=arguments.topics,
        storage=arguments.storage,
        jobs=arguments.jobs,
        through_node=arguments.through_node,
        rate=arguments.rate,
        restart=arguments.restart,
    )
    return evaluate_bags(request, load=partial(load_engine, request.model, request.device, request.precision))


def _outputs(text: str) -> Tuple[str, ...]:
    names = text.split(",")
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"expected some of {','.join(OUTPUTS)}, got {unknown[0]!r}")
    return tuple(name for name in OUTPUTS if name in names or name == OUTPUTS[0])


def _jobs(text: str) -> int:
    most = 4 * (os.cpu_count() or 1)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"expected 1 to {most} processes, got {text!r}")
    return int(text)


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 < rate <= 100:
        raise argparse.ArgumentTypeError(f"expected a pace above 0 (at most 100), got {text}")
    return rate
