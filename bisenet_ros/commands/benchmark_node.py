"""`bisenet benchmark node`: the node between a camera process and a listening process, beside two yardsticks."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from pathlib import Path
from typing import List, Tuple

from bisenet_ros.benchmark.machine import describe_load, describe_machine
from bisenet_ros.engines.loader import CPU_PRECISIONS, DEVICES, PRECISIONS, choose_device
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.input_size import parse_size
from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.benchmark.measurement import MOST_RATE, measure
from bisenet_ros.node.benchmark.report import Report
from bisenet_ros.node.benchmark.rig import require_packages
from bisenet_ros.node.benchmark.setup import ENCODINGS, ENGINES, OUTPUTS, RELIABILITIES, Setup

MOST_CAMERAS = 16
SHORTEST = 1.0
DESCRIPTION = """\
Measures segmentation_node from process to process over real DDS: latency from the camera's publish call to the mask's
arrival, frames lost and where, CPU of each process; in turns with a bare node that only echoes the image (the floor)
and a pipeline as people write it. Then with cameras that are faster than the engine, and at the rate it holds. Runs in
a ROS domain of its own, on this machine only."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_setup_arguments(parser)
    parser.add_argument("--engine", choices=ENGINES, default="model", help="stub: labels that cost nothing")
    parser.add_argument("--rate", type=float, default=15, metavar="HZ", help="of each camera, default 15")
    parser.add_argument(
        "--seconds",
        type=float,
        default=20,
        metavar="S",
        help="of each pipeline at that rate, default 20; the whole run takes about 6 times as long",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write node_benchmark.json, node_benchmark.md and node_benchmark.png into it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with their protocol, as JSON")


def add_setup_arguments(parser: argparse.ArgumentParser) -> None:
    """What `read_setup` reads."""
    parser.add_argument("--model", type=Path, metavar="FILE", help="a model file (.onnx), default: the shipped one")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="the node's parameter, default auto")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="the node's parameter, default auto")
    parser.add_argument("--size", default="2048x1024", metavar="WxH", help="of the frames, default 2048x1024")
    parser.add_argument("--cameras", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--encoding", choices=ENCODINGS, default="bgr8", help="default bgr8")
    parser.add_argument(
        "--reliability", choices=RELIABILITIES, default="best_effort", help="of the cameras, default best_effort"
    )
    parser.add_argument(
        "--topics", default="mask", metavar="NAMES", help=f"that are listened to, default mask; of {','.join(OUTPUTS)}"
    )


def read_setup(arguments: argparse.Namespace, *, engine: str = "model") -> Setup:
    """Raises ValueError for what cannot be meant."""
    if not 1 <= arguments.cameras <= MOST_CAMERAS:
        raise ValueError(f"--cameras must be 1 to {MOST_CAMERAS}, got {arguments.cameras}")
    model = (arguments.model or package_file(SHIPPED_MODEL)).absolute()
    read_card(model)  # says what is wrong with the file
    return Setup(
        model=str(model),
        device=arguments.device,
        precision=arguments.precision,
        engine=engine,
        size=parse_size(arguments.size),
        cameras=arguments.cameras,
        encoding=arguments.encoding,
        outputs=read_outputs(arguments.topics),
        reliability=arguments.reliability,
    )


def read_outputs(text: str) -> Tuple[str, ...]:
    """The topics, the mask first and always among them."""
    names = ["mask", *(name.strip() for name in text.split(",") if name.strip())]
    unknown = [name for name in names if name not in OUTPUTS]
    if unknown:
        raise ValueError(f"--topics must be of {', '.join(OUTPUTS)}, got {', '.join(unknown)}")
    return tuple(dict.fromkeys(names))


def run(arguments: argparse.Namespace) -> int:
    if not 0 < arguments.rate <= MOST_RATE:
        raise ValueError(f"--rate must be above 0 and at most {MOST_RATE:g} Hz, got {arguments.rate:g}")
    if not SHORTEST <= arguments.seconds < math.inf:
        raise ValueError(f"--seconds must be {SHORTEST:g} or more, got {arguments.seconds:g}")
    setup = read_setup(arguments, engine=arguments.engine)
    require_packages("rclpy", "psutil", *(["matplotlib"] if arguments.output else []))
    if arguments.json and arguments.json.is_dir():
        raise ValueError(f"--json must be a file, and {arguments.json} is a folder")
    for folder in (arguments.output, arguments.json and arguments.json.parent):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the processes are ended too
    load = describe_load(os.getloadavg()[0], cores=len(os.sched_getaffinity(0)))
    found = measure(setup, choose_pipelines(setup), rate=arguments.rate, seconds=arguments.seconds)
    report = Report.of(found, machine=describe_machine(), load=load)
    if arguments.json:
        arguments.json.write_text(report.to_json())
    if arguments.output:
        _write(report, arguments.output)
    print(report.to_markdown(), end="")
    return 0


def choose_pipelines(setup: Setup) -> List[str]:
    """The plain pipeline is for CPUs, and has no stub."""
    on_gpu = choose_device(setup.device, setup.precision) == "cuda"
    on_cpu = not on_gpu and setup.precision in ("auto", *CPU_PRECISIONS)
    return ["node", "echo"] + (["plain"] if on_cpu and setup.engine == "model" else [])


def _write(report: Report, folder: Path) -> None:
    from bisenet_ros.node.benchmark.plot import draw_latencies

    (folder / "node_benchmark.json").write_text(report.to_json())
    (folder / "node_benchmark.md").write_text(report.to_markdown())
    draw_latencies(report, folder / "node_benchmark.png")
