# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Time models with every installed engine, side by side.

Measures from a frame in host memory to its mask in host memory, and without the copies between host and GPU. Prints
median, 90th and 99th percentile, frames per second, the network alone, and each stage's share. With --paper it does as
the paper did, and prints the paper's set-up and figures beside. A checkpoint of `bisenet train` is run by PyTorch, as
the paper's Fig. 10 has it beside TensorRT: give the checkpoint and the model file that was exported from it.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, List

from bisenet_ros.engines.loader import DEVICES, installed_runtimes
from bisenet_ros.engines.precision import PRECISIONS, int8_file
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import parse_size

if TYPE_CHECKING:
    from bisenet_ros.benchmark.engine_benchmark import Choice, EngineBenchmark

EXTRA = "benchmark"
SIZE = "2048x1024"
FRAMES = 5000
SECONDS = 60.0
SWEEP_SIZES = ("1536x768", "1280x720", "1024x512", "640x360", "512x256")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        metavar="MODEL",
        help="a model file (.onnx), or a checkpoint (.ckpt) for PyTorch",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default auto: every installed engine")
    precisions = "default auto: each engine's own; --sweep: all of them (for int8 give NAME.int8.onnx as well)"
    parser.add_argument("--precision", choices=PRECISIONS, help=precisions)
    sizes = f"frame sizes, default {SIZE}; --sweep: {' '.join(SWEEP_SIZES)}"
    parser.add_argument("--size", nargs="+", metavar="WIDTHxHEIGHT", help=sizes)
    resized = "`card` (default), `half` of the frame's sides, `full` (default with --sweep), or WIDTHxHEIGHT"
    parser.add_argument("--network-size", metavar="SIZE", help=resized)
    parser.add_argument("--iterations", type=int, metavar="N", help=f"frames per engine and size, default {FRAMES}")
    parser.add_argument("--seconds", type=float, metavar="S", help=f"end a size after this, default {SECONDS:g}")
    form = parser.add_mutually_exclusive_group()
    words = "several frame sizes at full network size, all precisions, in one plot, as the paper's Fig. 10"
    form.add_argument("--sweep", action="store_true", help=words)
    words = "as the paper: 2048x1024 frames, 1024x512 for the network, fp32 and fp16, 5000 frames without a time limit"
    form.add_argument("--paper", action="store_true", help=words)
    folder = "for benchmark.json, benchmark.md and benchmark.png; default with --sweep and no --json: benchmark_sweep"
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help=folder)
    words = "replace the files of an earlier benchmark in FOLDER, and that of --json"
    parser.add_argument("--force", action="store_true", help=words)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with their protocol, as JSON")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.benchmark.report import FILES, to_text, write_report
    from bisenet_ros.files.atomic_write import write_json
    from bisenet_ros.files.result_folder import prepare_outputs

    benchmark = _paper_benchmark(arguments) if arguments.paper else _own_benchmark(arguments)
    output = arguments.output or (Path("benchmark_sweep") if arguments.sweep and not arguments.json else None)
    if output:
        import matplotlib.figure  # noqa: F401  # for the plot

    prepare_outputs(output, arguments.json, files=FILES, force=arguments.force)
    found = benchmark.run(on_progress=lambda text: print(text, file=sys.stderr))
    print(to_text(found))
    if arguments.json:
        write_json(arguments.json, found)
    if output:
        write_report(output, found)
    return 0


def _own_benchmark(arguments: argparse.Namespace) -> "EngineBenchmark":
    from bisenet_ros.benchmark.engine_benchmark import EngineBenchmark

    iterations = FRAMES if arguments.iterations is None else arguments.iterations
    seconds = SECONDS if arguments.seconds is None else arguments.seconds
    if iterations < 1:
        raise BisenetError(f"--iterations must be 1 or more, got {iterations}")
    if not 0 < seconds < math.inf:
        raise BisenetError(f"--seconds must be a number above 0, got {seconds:g}")
    sizes = arguments.size or (SWEEP_SIZES if arguments.sweep else (SIZE,))
    return EngineBenchmark(
        _choices(arguments, arguments.precision or "auto", every=arguments.sweep),
        frame_sizes=list(dict.fromkeys(map(parse_size, sizes))),
        network_size=arguments.network_size or ("full" if arguments.sweep else "card"),
        iterations=iterations,
        seconds=seconds,
    )


def _paper_benchmark(arguments: argparse.Namespace) -> "EngineBenchmark":
    from bisenet_ros.benchmark import paper
    from bisenet_ros.benchmark.engine_benchmark import EngineBenchmark

    for name in ("precision", "size", "network_size", "iterations", "seconds"):
        if getattr(arguments, name) is not None:
            raise BisenetError(f"--paper measures as the paper did; leave out --{name.replace('_', '-')}")
    choices = [choice for choice in _choices(arguments, "auto", every=True) if choice.precision in paper.PRECISIONS]
    if not choices:
        raise BisenetError(
            f"--paper times {' and '.join(paper.PRECISIONS)}, got quantized models alone; give the model files "
            "that they were made of, without .int8"
        )
    return EngineBenchmark(
        choices,
        frame_sizes=[parse_size(paper.FRAME_SIZE)],
        network_size=paper.NETWORK_SIZE,
        iterations=paper.ITERATIONS,
        seconds=math.inf,
        as_in_paper=True,
    )


def _choices(arguments: argparse.Namespace, precision: str, *, every: bool) -> "List[Choice]":
    from bisenet_ros.benchmark.eager_engine import is_checkpoint, torch_runtime
    from bisenet_ros.benchmark.engine_benchmark import choose_engines
    from bisenet_ros.model.model_file import is_quantized

    models = arguments.models
    if precision == "int8":
        models = [model if is_checkpoint(model) else int8_file(model) for model in models]
    choices = []
    for model in dict.fromkeys(models):
        if is_checkpoint(model):
            runtimes = [torch_runtime(model, arguments.device)]
        else:
            runtimes = installed_runtimes(arguments.device, quantized=is_quantized(model))
        choices += choose_engines(model, runtimes, precision, every=every)
    return choices
