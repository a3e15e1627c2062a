# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Times engines side by side: they take turns, frame by frame, so that a busy machine slows all of them alike."""

import time
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np

from bisenet_ros.engines.engine import Engine

WARM_UP = 50
"""Frames per engine at most; a tenth of the time, if that is less, and never fewer than two."""
COPY = "copy"
"""How the stages between host and device begin; see `Engine.stage_milliseconds`."""


@dataclass(frozen=True)
class Timings:
    """Milliseconds of one engine, frame by frame.

    Attributes:
        whole: frame in host memory to mask in host memory.
        processor: the process's time on all cores together for the same frames, which hardly depends on the load of
            other programs.
        stages: by `Engine.stage_milliseconds`, of other runs of the same frame; empty where the engine has none.
    """

    whole: List[float] = field(default_factory=list)
    processor: List[float] = field(default_factory=list)
    stages: Dict[str, List[float]] = field(default_factory=dict)

    @property
    def without_copies(self) -> Optional[List[float]]:
        """The paper's protocol: on the device, resizing included. A CPU copies nothing: the whole."""
        if not self.stages:
            return None
        if not any(stage.startswith(COPY) for stage in self.stages):
            return self.whole
        on_device = [times for stage, times in self.stages.items() if not stage.startswith(COPY)]
        return [sum(times) for times in zip(*on_device)]

    @property
    def shares(self) -> Dict[str, float]:
        """Where the time of a frame goes: the stages' medians, in per cent of their sum."""
        medians = {stage: float(np.median(times)) for stage, times in self.stages.items()}
        return {stage: 100 * median / sum(medians.values()) for stage, median in medians.items()}


def time_engines(engines: Sequence[Engine], frame: np.ndarray, *, iterations: int, seconds: float) -> List[Timings]:
    """Times `engine.segment` and the stages of a frame, with every engine in turn.

    Args:
        frame: H x W x 3 uint8 BGR.
        iterations: frames per engine.
        seconds: when they have passed, the round that has begun is the last.
    """
    for _ in rounds(WARM_UP, seconds=seconds / 10, least=2):
        _time_round(engines, frame, [Timings() for _ in engines])
    timings = [Timings() for _ in engines]
    for _ in rounds(iterations, seconds=seconds, least=1):
        _time_round(engines, frame, timings)
    return timings


def rounds(most: int, *, seconds: float, least: int) -> Iterator[int]:
    """Counts from 0 to `most`, but no further than `least` once the seconds have passed."""
    start = time.perf_counter()
    for done in range(most):
        if done >= least and time.perf_counter() - start >= seconds:
            return
        yield done


def _time_round(engines: Sequence[Engine], frame: np.ndarray, timings: Sequence[Timings]) -> None:
    for engine, timing in zip(engines, timings):
        start, processor = time.perf_counter(), time.process_time()
        engine.segment(frame)
        timing.whole.append(1000 * (time.perf_counter() - start))
        timing.processor.append(1000 * (time.process_time() - processor))
    for engine, timing in zip(engines, timings):
        for stage, milliseconds in engine.stage_milliseconds(frame).items():
            timing.stages.setdefault(stage, []).append(milliseconds)
