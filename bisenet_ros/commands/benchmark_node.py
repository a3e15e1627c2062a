# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Measure the node from camera to listener: latency, lost frames, CPU time.

Measures segmentation_node from process to process over real DDS: latency from the camera's publish call to the mask's
arrival, frames lost and where, CPU time of each process; in turns with a bare node that only echoes the image and with
a baseline, segmentation as commonly written. Then with cameras that are faster than the engine, in turns with the
engine alone, and at a rate that the engine holds. Runs in ROS domains of its own, on this machine only.
"""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import List

from bisenet_ros.commands._arguments import add_engine_arguments, list_of
from bisenet_ros.engines.loader import choose_device
from bisenet_ros.engines.precision import CPU_PRECISIONS
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.input_size import check_size_choice, parse_size
from bisenet_ros.model.model_card import read_card

EXTRA = "ros,benchmark"
OUTPUTS = ("mask", "confidence", "color_mask", "color_mask/compressed", "overlay", "overlay/compressed")
SIZE = "2048x1024"
RELIABILITIES = ("best_effort", "reliable")
MAX_CAMERAS = 16
MIN_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("--model", type=Path, metavar="FILE", help="a model file (.onnx), default: the shipped one")
    add_engine_arguments(parser)
    parser.add_argument("--engine", choices=("model", "stub"), default="model", help="stub: one that takes no time")
    sizes = f"of the images, one or more, default {SIZE}"
    parser.add_argument("--size", nargs="+", default=[SIZE], metavar="WIDTHxHEIGHT", help=sizes)
    parser.add_argument("--cameras", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--encoding", choices=("bgr8", "jpeg"), default="bgr8", help="of the images, default bgr8")
    parser.add_argument("--reliability", choices=RELIABILITIES, default="best_effort", help="default best_effort")
    topics = list_of(OUTPUTS, always=OUTPUTS[:1])
    names = f"of {','.join(OUTPUTS)}; default mask, which is always there"
    parser.add_argument("--topics", type=topics, default=OUTPUTS[:1], metavar="LIST", help=names)
    parser.add_argument("--rate", type=float, default=15, metavar="HZ", help="of each camera, default 15")
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        metavar="S",
        help="per pipeline and size, default 20; a size takes 6 times as long",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="write node_benchmark.json, .md and .png")
    words = "replace the files of an earlier benchmark in FOLDER, and that of --json"
    parser.add_argument("--force", action="store_true", help=words)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with their protocol, as JSON")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.files.atomic_write import write_json
    from bisenet_ros.files.result_folder import prepare_outputs
    from bisenet_ros.node.benchmark.measurement import MAX_RATE, measure
    from bisenet_ros.node.benchmark.report import FILES, to_markdown, write_report
    from bisenet_ros.node.benchmark.scenario import Scenario

    if not 1 <= arguments.cameras <= MAX_CAMERAS:
        raise BisenetError(f"--cameras must be 1 to {MAX_CAMERAS}, got {arguments.cameras}")
    if not 0 < arguments.rate <= MAX_RATE:
        raise BisenetError(f"--rate must be above 0 and at most {MAX_RATE:g} Hz, got {arguments.rate:g}")
    if not MIN_SECONDS <= arguments.seconds < math.inf:
        raise BisenetError(f"--seconds must be {MIN_SECONDS:g} or more, got {arguments.seconds:g}")
    model = (arguments.model or package_file(SHIPPED_MODEL)).absolute()
    read_card(model)  # raises an error that says what is wrong with the file
    check_size_choice(arguments.network_size)
    scenario = Scenario(
        model=str(model),
        device=arguments.device,
        precision=arguments.precision,
        engine=arguments.engine,
        network_size=arguments.network_size,
        cameras=arguments.cameras,
        encoding=arguments.encoding,
        outputs=arguments.topics,
        reliability=arguments.reliability,
    )
    scenarios = [replace(scenario, size=parse_size(size)) for size in dict.fromkeys(arguments.size)]
    if arguments.output:
        import matplotlib.figure  # noqa: F401  # for the plot

    prepare_outputs(arguments.output, arguments.json, files=FILES, force=arguments.force)
    numbers = measure(scenarios, choose_pipelines(arguments), rate=arguments.rate, seconds=arguments.seconds)
    print(to_markdown(numbers), end="")
    if arguments.json:
        write_json(arguments.json, numbers)
    if arguments.output:
        write_report(arguments.output, numbers)
    return 0


def choose_pipelines(arguments: argparse.Namespace) -> List[str]:
    """The node, the echo, and the baseline, which is for CPUs and has no stub engine."""
    on_cpu = choose_device(arguments.device, arguments.precision) == "cpu"
    has_plain = on_cpu and arguments.precision in ("auto", *CPU_PRECISIONS) and arguments.engine == "model"
    return ["node", "echo", *(["plain"] if has_plain else [])]
