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
    """The node's engine in this process, on the cameras' images, with the confidence where somebody listens to it.

    Attributes:
        batch: how many frames it takes at once.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._engine = load_engine(
            scenario.model,
            device=scenario.device,
            precision=scenario.precision,
            network_size=scenario.network_size,
            max_batch=scenario.cameras,
        )
        self.batch = self._engine.max_batch
        self._confidence = "confidence" in scenario.outputs
        self._frames = [read_frame(message) for message in scenario.messages()]
        self._rates: List[float] = []
        self._segment(0)

    def __exit__(self, *exception: Any) -> None:
        self._engine.close()

    def take_turn(self, seconds: float) -> None:
        """Measures the frame rate that `frames_per_second` is the median of."""
        self._rates.append(self.measure(seconds))

    def measure(self, seconds: float) -> float:
        """Segments one batch after another; frames per second."""
        count, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            self._segment(count)
            count += 1
        return count * self.batch / (time.perf_counter() - start)

    def _segment(self, number: int) -> None:
        first = number * self.batch
        frames = [self._frames[i % len(self._frames)] for i in range(first, first + self.batch)]
        self._engine.segment_batch(frames, confidence=self._confidence)

    @property
    def frames_per_second(self) -> float:
        """The median of the turns, each of which is its frames by its time."""
        return median(self._rates)
