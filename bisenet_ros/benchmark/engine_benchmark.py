# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How fast models are here: every installed engine on the same frames, side by side."""

import math
import os
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from bisenet_ros.benchmark import paper
from bisenet_ros.benchmark.eager_engine import PROTOCOL, is_checkpoint, read_checkpoint_card
from bisenet_ros.benchmark.interleaved_timing import WARM_UP, time_engines
from bisenet_ros.benchmark.machine import describe_load, describe_machine
from bisenet_ros.benchmark.report import Numbers, describe_timings
from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.engine import Engine, EngineError
from bisenet_ros.engines.loader import Runtime
from bisenet_ros.files.file_content import sha256_of
from bisenet_ros.model.input_size import Size, check_size_choice, size_text
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError, model_sha256

Progress = Callable[[str], None]


class Choice(NamedTuple):
    """An engine to time, of a model file or a checkpoint."""

    model: Path
    runtime: Runtime
    precision: str


@dataclass(frozen=True)
class EngineBenchmark:
    """What is timed: engines of one or more models, on frames of several sizes.

    Attributes:
        choices: the engines, which take turns.
        frame_sizes: (height, width) of each.
        network_size: "card", "half" or "full" of the frame's sides, or "WIDTHxHEIGHT".
        iterations: frames per engine and size.
        seconds: ends a size even if there were fewer frames; may be infinite.
        as_in_paper: it is done as the paper did it, and the report has its figures.
    """

    choices: Sequence[Choice]
    frame_sizes: Sequence[Size]
    network_size: str
    iterations: int
    seconds: float
    as_in_paper: bool = False

    def __post_init__(self) -> None:
        """Raises SizeError for a `network_size` that is none."""
        check_size_choice(self.network_size)

    def run(self, *, on_progress: Progress) -> Numbers:
        """Times everything, which takes minutes.

        Args:
            on_progress: called with what is timed now, and with an engine that cannot run.

        Returns:
            The numbers, and all that they depend on, as the JSON file has them.

        Raises:
            ModelError: no engine can run any of the models.
        """
        load = describe_load(os.getloadavg()[0], cores=usable_cores())
        cards = {choice.model: _read_card(choice.model) for choice in self.choices}
        measurements: List[Numbers] = []
        left_out: Dict[str, str] = {}
        for size in self.frame_sizes:
            on_progress(f"timing {size_text(size)}, up to {self.seconds:g} s")
            measurements += self._measure(size, cards, left_out, on_progress)
        return {
            "models": [_describe_model(model, card) for model, card in cards.items()],
            "paper": paper.PROTOCOL if self.as_in_paper else {},
            "protocol": {**self._describe_protocol(), "load average before": load},
            "machine": describe_machine(),
            "measurements": measurements,
            "left_out": left_out,
        }

    def _measure(
        self, size: Size, cards: Mapping[Path, ModelCard], left_out: Dict[str, str], on_progress: Progress
    ) -> List[Numbers]:
        """Times the engines on frames of one size; `left_out` is given those that cannot run, and why."""
        frame, names = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8), self._model_names()
        with ExitStack() as stack:
            opened: List[Tuple[Choice, Engine]] = []
            for choice in self.choices:
                try:
                    engine = choice.runtime.create(
                        choice.model,
                        cards[choice.model],
                        precision=choice.precision,
                        size_choice=self.network_size,
                    )
                    stack.callback(engine.close)
                    engine.segment(frame)
                    engine.stage_milliseconds(frame)  # which may have a plan to build too
                except Exception as error:  # each runtime has its own
                    reason = " ".join(str(error).split()) or type(error).__name__
                    name = f"{names[choice.model]}, {choice.runtime.name} {choice.precision}"
                    left_out[f"{name}, {size_text(size)}"] = reason
                    on_progress(f"left out: {name}: {reason}")
                    continue
                opened.append((choice, engine))
            if not opened:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
                raise ModelError(f"{', '.join(names.values())} cannot be run by any engine here: {reasons}")
            engines = [engine for _, engine in opened]
            timings = time_engines(engines, frame, iterations=self.iterations, seconds=self.seconds)
        return [
            {
                "frame_size": size_text(size),
                "network_size": size_text(engine.network_size(*size)),
                "model": names[choice.model],
                "architecture": engine.card.name,
                "runtime": choice.runtime.name,
                "precision": choice.precision,
                "engine": engine.description,
                **describe_timings(timing, reference=timings[0]),
            }
            for (choice, engine), timing in zip(opened, timings)
        ]

    def _model_names(self) -> Dict[Path, str]:
        """What each model is called: its file's name, or its path where two have the same name."""
        models = dict.fromkeys(choice.model for choice in self.choices)
        counts = Counter(model.name for model in models)
        return {model: model.name if counts[model.name] == 1 else str(model) for model in models}

    def _describe_protocol(self) -> Dict[str, str]:
        """What every number of this run means."""
        return {
            "frame": "uint8 BGR noise in host memory, batch 1",
            "whole": "frame in host memory to mask in host memory, both of the frame's size; resizing included",
            "stages": "timed one by one, on other runs of the same frame; shares are in per cent of their sum; "
            "TensorRT's network is timed in a plan of its own, and what the frame's plan takes longer is resizing",
            "without copies": "the stages' sum without copies between host and device; on the CPU, which has none, the "
            "whole",
            "network size": f"{self.network_size}; the table has it in pixels",
            "order": "engines take turns, one frame each; ratios are to the first engine of the same frame size",
            "warm-up": f"up to {WARM_UP} frames per engine or a tenth of the time, not counted",
            "frames": f"{self.iterations} per engine and size{self._time_limit()}",
            "FPS": "1 / median",
            "FPS by mean": "1 / mean",
            "synchronization": "a frame is done when its mask is there",
            "CPU ms": "time of all cores together per frame, median; other programs change it less than the rest",
            "threads": f"each runtime's own choice, for the {usable_cores()} cores that may be used",
            **({"PyTorch": PROTOCOL} if any(is_checkpoint(choice.model) for choice in self.choices) else {}),
        }

    def _time_limit(self) -> str:
        return f", or as many as {self.seconds:g} s allow" if math.isfinite(self.seconds) else ""


def _read_card(model: Path) -> ModelCard:
    return read_checkpoint_card(model) if is_checkpoint(model) else read_card(model)


def _describe_model(model: Path, card: ModelCard) -> Dict[str, str]:
    return {
        "file": model.name,
        "SHA-256": sha256_of(model) if is_checkpoint(model) else model_sha256(model),
        "architecture": card.name,
        "classes": str(len(card.classes)),
        "network size on the card": size_text(card.network_size),
    }


def choose_engines(model: Path, runtimes: Sequence[Runtime], precision: str, *, every: bool) -> List[Choice]:
    """Each runtime in one precision; "auto" is its own, or with `every`, all that it has.

    Raises:
        EngineError: none of them has the precision.
    """
    if precision == "auto":
        return [Choice(model, r, p) for r in runtimes for p in (r.precisions if every else (r.automatic,))]
    chosen = [Choice(model, runtime, precision) for runtime in runtimes if precision in runtime.precisions]
    if not chosen:
        have = "; ".join(f"{runtime.name}: {', '.join(runtime.precisions)}" for runtime in runtimes)
        raise EngineError(f"no engine here computes in {precision}; choose one of these: {have}")
    return chosen
