"""How fast a model is here: every installed engine on the same frames, side by side."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import onnx

from bisenet_ros.benchmark.interleaved_timing import WARM_UP, time_engines
from bisenet_ros.benchmark.machine import describe_load, describe_machine
from bisenet_ros.benchmark.report import Benchmark, Measurement, Numbers
from bisenet_ros.engines.engine import Engine, EngineError
from bisenet_ros.engines.loader import Runtime, installed_runtimes
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import Size, parse_size, size_text
from bisenet_ros.model.model_card import ModelCard, read_card, write_card
from bisenet_ros.model.model_file import ModelError, is_quantized, model_sha256, read_model

Progress = Callable[[str], None]


class Choice(NamedTuple):
    """An engine to time."""

    runtime: Runtime
    precision: str

    @property
    def name(self) -> str:
        return f"{self.runtime.name} {self.precision}"


class EngineBenchmark:
    """What is timed: a model's engines, frames of several sizes, and for how long.

    Everything that can be refused is refused at once; `run` takes minutes.

    Args:
        device: "cpu", "cuda" or "auto": the runtimes of both.
        precision: one that every engine is to use, or "auto": each engine's own.
        every_precision: with "auto", every precision that an engine has instructions for.
        frame_sizes: (height, width) of each.
        network_size: "card", "half" or "full" of the frame's sides, or "WIDTHxHEIGHT".
        iterations: frames per engine and size.
        seconds: ends a size even if there were fewer frames.

    Raises:
        ModelError: the model file cannot be used.
        EngineError: no engine is installed, or none has the precision.
    """

    def __init__(
        self,
        model: Path,
        *,
        device: str,
        precision: str,
        every_precision: bool,
        frame_sizes: Sequence[Size],
        network_size: str,
        iterations: int,
        seconds: float,
    ) -> None:
        self._model = model
        self._card = read_card(model)
        self._frame_sizes = frame_sizes
        self._network_size = network_size
        self._network_sizes = [choose_network_size(network_size, size) for size in frame_sizes]
        self._choices = choose_engines(
            installed_runtimes(device, quantized=is_quantized(model)), precision, every=every_precision
        )
        self._iterations = iterations
        self._seconds = seconds

    def run(self, *, on_progress: Progress) -> Numbers:
        """Times everything.

        Args:
            on_progress: called with what is timed now, and with an engine that cannot run.

        Returns:
            What `Benchmark.to_dict` returns.

        Raises:
            ModelError: no engine can run the model.
        """
        load = describe_load(os.getloadavg()[0], cores=len(os.sched_getaffinity(0)))
        measurements: List[Measurement] = []
        left_out: Dict[str, str] = {}
        for size, network_size in zip(self._frame_sizes, self._network_sizes):
            on_progress(f"timing {size_text(size)}, up to {self._seconds:g} s")
            measurements += measure(
                self._model,
                self._card,
                self._choices,
                size=size,
                network_size=network_size,
                iterations=self._iterations,
                seconds=self._seconds,
                left_out=left_out,
                on_progress=on_progress,
            )
        return Benchmark(
            model=_describe_model(self._model, self._card),
            protocol={**self._describe_protocol(), "load average before": load},
            machine=describe_machine(),
            measurements=measurements,
            left_out=left_out,
        ).to_dict()

    def _describe_protocol(self) -> Dict[str, str]:
        """What every number of this run means."""
        return {
            "frame": "uint8 BGR noise in host memory, batch 1",
            "whole": "frame in host memory to mask in host memory, both of the frame's size; resizing included",
            "stages": "timed one by one, on other runs of the same frame; shares are in per cent of their sum; "
            "TensorRT's network is timed in a plan of its own, and what the frame's plan takes longer is resizing",
            "paper's": "the stages' sum without copies between host and device; on the CPU, which has none, the whole",
            "network size": f"{self._network_size}; the table has it in pixels",
            "order": "engines take turns, one frame each; ratios are to the first engine of the same frame size",
            "warm-up": f"up to {WARM_UP} frames per engine or a tenth of the time, not counted",
            "frames": f"{self._iterations} per engine and size, or as many as {self._seconds:g} s allow",
            "FPS": "1 / median",
            "CPU ms": "time of all cores together per frame, median; other programs change it less than the rest",
            "threads": "each runtime's default",
        }


def choose_engines(runtimes: Sequence[Runtime], precision: str, *, every: bool) -> List[Choice]:
    """Each runtime in one precision; "auto" is its own, or with `every`, all that it has.

    Raises:
        EngineError: none of them has the precision.
    """
    if precision == "auto":
        return [Choice(r, p) for r in runtimes for p in (r.precisions if every else (r.automatic,))]
    chosen = [Choice(runtime, precision) for runtime in runtimes if precision in runtime.precisions]
    if not chosen:
        have = "; ".join(f"{runtime.name}: {', '.join(runtime.precisions)}" for runtime in runtimes)
        raise EngineError(f"no engine here computes in {precision}; choose one of these: {have}")
    return chosen


def choose_network_size(choice: str, size: Size) -> Optional[Size]:
    """(height, width) instead of the card's, None for the card's.

    Args:
        choice: "card", "half" or "full" of the frame's sides, or "WIDTHxHEIGHT".
        size: (height, width) of the frame.

    Raises:
        BisenetError: it is something else.
    """
    if choice == "card":
        return None
    if choice == "full":
        return size
    if choice == "half":
        return size[0] // 2, size[1] // 2
    if "x" not in choice:
        raise BisenetError(f"--network-size must be card, half, full or WIDTHxHEIGHT, got {choice!r}")
    return parse_size(choice)


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
    on_progress: Progress,
) -> List[Measurement]:
    """Times the engines side by side on frames of one size.

    Args:
        size: (height, width) of the frame.
        network_size: instead of the card's.
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
                on_progress(f"left out: {choice.name}: {reason}")
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
    copy = read_model(model)
    write_card(copy, card)
    onnx.save(copy, path, format="protobuf")
    return path


def _describe_model(path: Path, card: ModelCard) -> Dict[str, str]:
    return {
        "file": path.name,
        "SHA-256": model_sha256(path),
        "architecture": card.name,
        "classes": str(len(card.classes)),
        "network size on the card": size_text(card.network_size),
    }
