# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The engine without a node around it, which a node's frame rate is compared with."""

import time
from contextlib import AbstractContextManager
from statistics import median
from typing import Any, List

from bisenet_ros.engines import load_engine
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.image_messages import read_frame


class EngineAlone(AbstractContextManager):
    """The node's engine in this process, on the cameras' images, with the confidence where somebody listens to it."""

    def __init__(self, scenario: Scenario) -> None:
        self._engine = load_engine(
            scenario.model,
            device=scenario.device,
            precision=scenario.precision,
            network_size=scenario.network_size,
        )
        self._confidence = "confidence" in scenario.outputs
        self._frames = [read_frame(message) for message in scenario.messages()]
        self._rates: List[float] = []
        self._segment(0)

    def __exit__(self, *exception: Any) -> None:
        self._engine.close()

    def take_turn(self, seconds: float) -> None:
        """Segments one frame after another."""
        times: List[float] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            start = time.perf_counter()
            self._segment(len(times))
            times.append(time.perf_counter() - start)
        self._rates.append(1 / median(times))

    def _segment(self, number: int) -> None:
        self._engine.segment_batch([self._frames[number % len(self._frames)]], confidence=self._confidence)

    @property
    def frames_per_second(self) -> float:
        """The median of the turns, each of which is 1 / median of its frames."""
        return median(self._rates)
