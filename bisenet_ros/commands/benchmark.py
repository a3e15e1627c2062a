# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Time a model with every installed engine, side by side.

Measures from a frame in host memory to its mask in host memory, and without the copies between host and GPU, which is
the paper's protocol: 2048x1024 in, resizing included, batch 1, 5000 frames, warmed up, synchronized. On the CPU both
are the same. Prints median, 90th and 99th percentile, frames per second, the network alone, and each stage's share.
"""

import argparse
import math
import sys
from pathlib import Path

from bisenet_ros.engines.loader import DEVICES, installed_runtimes
from bisenet_ros.engines.precision import PRECISIONS
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import parse_size

EXTRA = "benchmark"
PAPER_SIZE = "2048x1024"
PAPER_FRAMES = 5000
SWEEP_SIZES = ("2048x1024", "1536x768", "1280x720", "1024x512", "640x360", "512x256")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("model", type=Path, help="a model file (.onnx)")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default auto: every installed engine")
    precisions = "default auto: each engine's own; --sweep: all of them"
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help=precisions)
    sizes = f"frame sizes, default {PAPER_SIZE}; --sweep: {' '.join(SWEEP_SIZES)}"
    parser.add_argument("--size", nargs="+", metavar="WIDTHxHEIGHT", help=sizes)
    resized = "instead of the card's: `half` of the frame's sides (the paper's Cityscapes), `full`, or WIDTHxHEIGHT"
    parser.add_argument("--network-size", default="card", metavar="SIZE", help=resized)
    frames = f"frames per engine and size, default {PAPER_FRAMES}"
    parser.add_argument("--iterations", type=int, default=PAPER_FRAMES, metavar="N", help=frames)
    parser.add_argument("--seconds", type=float, default=60, metavar="S", help="end a size after this, default 60")
    parser.add_argument("--sweep", action="store_true", help="several frame sizes and all precisions (Fig. 10)")
    folder = "for benchmark.json, benchmark.md and benchmark.png; default with --sweep and no --json: benchmark_sweep"
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=folder)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with their protocol, as JSON")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.benchmark.engine_benchmark import EngineBenchmark, choose_engines
    from bisenet_ros.benchmark.report import prepare_outputs, to_table, write_report
    from bisenet_ros.files.atomic_write import write_json
    from bisenet_ros.model.model_file import is_quantized

    if arguments.iterations < 1:
        raise BisenetError(f"--iterations must be 1 or more, got {arguments.iterations}")
    if not 0 < arguments.seconds < math.inf:
        raise BisenetError(f"--seconds must be a number above 0, got {arguments.seconds:g}")
    runtimes = installed_runtimes(arguments.device, quantized=is_quantized(arguments.model))
    sizes = arguments.size or (SWEEP_SIZES if arguments.sweep else (PAPER_SIZE,))
    benchmark = EngineBenchmark(
        arguments.model,
        choose_engines(runtimes, arguments.precision, every=arguments.sweep),
        frame_sizes=list(dict.fromkeys(map(parse_size, sizes))),
        network_size=arguments.network_size,
        iterations=arguments.iterations,
        seconds=arguments.seconds,
    )
    output = arguments.output or (Path("benchmark_sweep") if arguments.sweep and not arguments.json else None)
    prepare_outputs(output, arguments.json)
    found = benchmark.run(on_progress=lambda text: print(text, file=sys.stderr))
    if arguments.json:
        write_json(arguments.json, found)
    if output:
        write_report(output, found)
    print(to_table(found["measurements"]))
    for name, value in {**found["protocol"], **found["machine"]}.items():
        print(f"{name}: {value}")
    return 0
