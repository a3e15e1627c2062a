"""How fast a model is here: `bisenet benchmark model.onnx`, with every engine that is installed, side by side."""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import onnx

from bisenet_ros.benchmark.interleaved_timing import WARM_UP, time_engines
from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.benchmark.report import (
    Benchmark,
    Measurement,
    load_matplotlib,
    to_table,
    write_json,
    write_report,
)
from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.tensorrt.builder import is_quantized
from bisenet_ros.files.file_hash import sha256_of
from bisenet_ros.model.input_size import parse_size, size_text
from bisenet_ros.model.model_card import ModelCard, ModelError, read_card, write_card

Size = Tuple[int, int]

PAPER_SIZE = "2048x1024"
PAPER_ITERATIONS = 5000
SWEEP_SIZES = ("2048x1024", "1536x768", "1280x720", "1024x512", "640x360", "512x256")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
IDLE = 0.25
"""Load per core up to which a machine is taken to have nothing else to do."""
DESCRIPTION = f"""\
Times the engines that are installed here, in turn, frame by frame: from a frame in host memory to its labels in host
memory, and without the copies between them and a GPU, which is the paper's protocol ({PAPER_SIZE} in, resizing
included, batch 1, {PAPER_ITERATIONS} frames, warmed up, synchronized). On the CPU both are the same. Prints median,
90th and 99th percentile, frames per second, the network alone, and where the time goes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("model", type=Path, help="a model file (.onnx)")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default auto: the CPU's engines, and TensorRT where it is installed",
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="default auto: each engine's own; --sweep: all of them"
    )
    parser.add_argument(
        "--size", nargs="+", metavar="WxH", help=f"frame sizes, default {PAPER_SIZE}; --sweep: {' '.join(SWEEP_SIZES)}"
    )
    parser.add_argument(
        "--network-size",
        default="card",
        metavar="SIZE",
        help="what frames are shrunk to, in place of the size on the model's card: `half` of the frame's sides (the "
        "paper's Cityscapes), `full`, or WxH",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        default=PAPER_ITERATIONS,
        metavar="N",
        help=f"frames per engine and size, default {PAPER_ITERATIONS}",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60,
        metavar="S",
        help="end a size after this time even if there were fewer frames, default 60",
    )
    parser.add_argument("--sweep", action="store_true", help="several frame sizes and all precisions (Fig. 10)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="write benchmark.json, benchmark.md and benchmark.png into it; default with --sweep and no --json: "
        "benchmark_sweep",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with their protocol, as JSON")


def run(arguments: argparse.Namespace) -> int:
    if arguments.iterations < 1:
        raise ValueError(f"--iterations must be 1 or more, got {arguments.iterations}")
    if not 0 < arguments.seconds < math.inf:
        raise ValueError(f"--seconds must be a number above 0, got {arguments.seconds:g}")
    sizes = frame_sizes(arguments.size, sweep=arguments.sweep)
    card = read_card(arguments.model)
    network_sizes = [choose_network_size(arguments.network_size, size) for size in sizes]
    runtimes = installed_runtimes(arguments.device, quantized=is_quantized(arguments.model))
    choices = choose_engines(runtimes, arguments.precision, every=arguments.sweep)
    output = arguments.output or (Path("benchmark_sweep") if arguments.sweep and not arguments.json else None)
    _prepare(output=output, numbers=arguments.json)

    load = describe_load(os.getloadavg()[0], cores=len(os.sched_getaffinity(0)))
    measurements: List[Measurement] = []
    left_out: Dict[str, str] = {}
    for size, network_size in zip(sizes, network_sizes):
        print(f"timing {size_text(size)}, up to {arguments.seconds:g} s", file=sys.stderr)
        measurements += measure(
            arguments.model,
            card,
            choices,
            size=size,
            network_size=network_size,
            iterations=arguments.iterations,
            seconds=arguments.seconds,
            left_out=left_out,
        )
    found = Benchmark(
        model=describe_model(arguments.model, card),
        protocol={**describe_protocol(arguments), "load average before": load},
        machine=describe_machine(),
        measurements=measurements,
        left_out=left_out,
    ).to_dict()
    if arguments.json:
        write_json(arguments.json, found)
    if output:
        write_report(output, found)
    print(to_table(found["measurements"]))
    for name, value in {**found["protocol"], **found["machine"]}.items():
        print(f"{name}: {value}")
    return 0


class Runtime(NamedTuple):
    """An installed runtime.

    Attributes:
        precisions: those that it computes in here, not those that it would emulate.
        automatic: the one it runs in if nothing else is asked for.
        create: (model: Path, card: ModelCard, *, precision: str) to an engine.
    """

    name: str
    precisions: Sequence[str]
    automatic: str
    create: Callable[..., Engine]


class Choice(NamedTuple):
    """An engine to time."""

    runtime: Runtime
    precision: str

    @property
    def name(self) -> str:
        return f"{self.runtime.name} {self.precision}"


def installed_runtimes(device: str, *, quantized: bool = False) -> List[Runtime]:
    """Those for "cpu", for "cuda", or ("auto") for both; the first is what the others are compared to.

    Args:
        quantized: the model file is, which TensorRT runs in int8 alone.

    Raises:
        ValueError: there is none.
    """
    runtimes = []
    if device != "cuda":
        runtimes += [*_openvino(), *_onnx_runtime()]
    if device != "cpu":
        runtimes += _tensorrt(quantized=quantized)
    if not runtimes:
        packages = "tensorrt" if device == "cuda" else "openvino` or `pip install onnxruntime"
        raise ValueError(f"no engine is installed for --device {device}; install one with `pip install {packages}`")
    return runtimes


def _openvino() -> List[Runtime]:
    if not _installed("openvino", "numba"):
        return []
    from bisenet_ros.engines.cpu.cpu_features import computes_in_bf16
    from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine

    precisions = ("fp32", "bf16") if computes_in_bf16() else ("fp32",)
    return [Runtime("OpenVINO", precisions, automatic=precisions[-1], create=OpenVinoEngine)]


def _onnx_runtime() -> List[Runtime]:
    if not _installed("onnxruntime", "numba"):
        return []
    from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine

    def create(model: Path, card: ModelCard, *, precision: str) -> Engine:
        return OnnxRuntimeEngine(model, card)

    return [Runtime("ONNX Runtime", ("fp32",), automatic="fp32", create=create)]


def _tensorrt(*, quantized: bool) -> List[Runtime]:
    if not _installed("tensorrt") and not _installed("tensorrt_rtx"):
        return []

    def create(model: Path, card: ModelCard, *, precision: str) -> Engine:
        return load_engine(model, device="cuda", precision=precision)

    precisions, automatic = (("int8",), "int8") if quantized else (("fp32", "fp16", "int8"), "fp16")
    return [Runtime("TensorRT", precisions, automatic=automatic, create=create)]


def _installed(*packages: str) -> bool:
    return all(map(importlib.util.find_spec, packages))


def choose_engines(runtimes: Sequence[Runtime], precision: str, *, every: bool) -> List[Choice]:
    """Each runtime in one precision; "auto" is its own, or with `every`, every one that it has.

    Raises:
        ValueError: none of them has the precision.
    """
    if precision == "auto":
        return [Choice(r, p) for r in runtimes for p in (r.precisions if every else (r.automatic,))]
    chosen = [Choice(runtime, precision) for runtime in runtimes if precision in runtime.precisions]
    if not chosen:
        have = "; ".join(f"{runtime.name}: {', '.join(runtime.precisions)}" for runtime in runtimes)
        raise ValueError(f"no engine here computes in {precision}; choose one of these: {have}")
    return chosen


def measure(
    model: Path,
    card: ModelCard,
    choices: Sequence[Choice],
    *,
    size: Size,
    network_size: Optional[Size],
    iterations: int,
    seconds: float,
    left_out: Dict[str, str],
) -> List[Measurement]:
    """Times the engines side by side on frames of one size.

    Args:
        size: (height, width) of the frame.
        network_size: in place of the card's.
        left_out: is given the engines that cannot run, and why.

    Raises:
        ModelError: none of them can run.
    """
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    with ExitStack() as stack:
        if network_size:
            card = replace(card, network_size=network_size)
            model = _with_card(model, card, Path(stack.enter_context(tempfile.TemporaryDirectory())) / model.name)
        opened: List[Tuple[Choice, Engine]] = []
        for choice in choices:
            try:
                engine = choice.runtime.create(model, card, precision=choice.precision)
                stack.callback(engine.close)
                engine.segment(frame)
                engine.stage_milliseconds(frame)  # which may have a plan to build too
            except Exception as error:  # each runtime has its own
                reason = " ".join(str(error).split()) or type(error).__name__
                left_out[f"{choice.name}, {size_text(size)}"] = reason
                print(f"left out: {choice.name}: {reason}", file=sys.stderr)
                continue
            opened.append((choice, engine))
        if not opened:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ModelError(f"{model.name} cannot be run by any engine here: {reasons}")
        timings = time_engines([engine for _, engine in opened], frame, iterations=iterations, seconds=seconds)
    return [
        Measurement(
            frame_size=size,
            network_size=engine.network_size(*size),
            runtime=choice.runtime.name,
            precision=choice.precision,
            description=engine.description,
            timings=timing,
            reference=timings[0],
        )
        for (choice, engine), timing in zip(opened, timings)
    ]


def _with_card(model: Path, card: ModelCard, path: Path) -> Path:
    """A copy of the model file with another card: an engine reads the network's size there."""
    copy = onnx.load(model, format="protobuf")
    write_card(copy, card)
    onnx.save(copy, path, format="protobuf")
    return path


def frame_sizes(asked: Optional[Sequence[str]], *, sweep: bool) -> List[Size]:
    """(height, width) of each, once; the paper's where none is asked for."""
    texts = asked or (SWEEP_SIZES if sweep else (PAPER_SIZE,))
    return list(dict.fromkeys(map(parse_size, texts)))


def choose_network_size(choice: str, size: Size) -> Optional[Size]:
    """(height, width) in place of the card's, None for the card's.

    Args:
        choice: "card", "half" or "full" of the frame's sides, or "WIDTHxHEIGHT".
        size: (height, width) of the frame.
    """
    if choice == "card":
        return None
    if choice == "full":
        return size
    if choice == "half":
        return size[0] // 2, size[1] // 2
    if "x" not in choice:
        raise ValueError(f"--network-size must be card, half, full or WIDTHxHEIGHT, got {choice!r}")
    return parse_size(choice)


def describe_model(path: Path, card: ModelCard) -> Dict[str, str]:
    return {
        "file": path.name,
        "SHA-256": sha256_of(path),
        "architecture": card.name,
        "classes": str(len(card.classes)),
        "network size on the card": size_text(card.network_size),
    }


def describe_protocol(arguments: argparse.Namespace) -> Dict[str, str]:
    """What every number of this run means."""
    return {
        "frame": "uint8 BGR noise in host memory, batch 1",
        "whole": "frame in host memory to labels in host memory, at the frame's size; resizing included, synchronized",
        "stages": "timed one by one, on other runs of the same frame; where the time goes is in per cent of their sum; "
        "TensorRT's network has a plan of its own for this, and what the frame's plan takes longer is the resizing's",
        "paper's": "the stages' sum without copies between host and device; on the CPU, which has none, the whole",
        "network size": f"{arguments.network_size}; the table has it in pixels",
        "order": "engines take turns, one frame each; ratios are to the first engine of the same frame size",
        "warm-up": f"up to {WARM_UP} frames per engine or a tenth of the time, not counted",
        "frames": f"{arguments.iterations} per engine and size, or as many as {arguments.seconds:g} s allow",
        "FPS": "1 / median",
        "CPU ms": "time of all cores together per frame, median; other programs change it less than the rest",
        "threads": "each runtime's default",
    }


def describe_load(load: float, *, cores: int) -> str:
    """The load average in words, and what it means for the numbers."""
    text = f"{load:.1f} on {cores} cores"
    if load <= IDLE * cores:
        return text
    return f"{text}: other programs were running; only CPU ms can be relied on"


def _prepare(*, output: Optional[Path], numbers: Optional[Path]) -> None:
    """Before minutes are spent on numbers that cannot be written."""
    if output:
        load_matplotlib()
        output.mkdir(parents=True, exist_ok=True)
    if numbers and numbers.is_dir():
        raise ValueError(f"--json must be a file, and {numbers} is a folder")
    if numbers:
        numbers.parent.mkdir(parents=True, exist_ok=True)
