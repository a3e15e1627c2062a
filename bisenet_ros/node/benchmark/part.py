# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A pipeline measured at one rate, and its numbers."""

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np

from bisenet_ros.model.input_size import Size, size_text
from bisenet_ros.node.driver.interval import Interval

SKIPPED_SECONDS = 0.5
"""At the beginning of a turn, whose latencies and answers do not count: caches still hold the other pipeline."""
Numbers = Dict[str, Any]


class Turn(NamedTuple):
    """One interval of one pipeline.

    Attributes:
        seconds: how long the cameras sent.
        cpu_seconds: CPU time of "cameras", "listener" and the pipeline's process meanwhile.
        times: milliseconds that the node tells of its stages, such as engine_p50_ms; empty for other pipelines.
    """

    interval: Interval
    seconds: float
    cpu_seconds: Dict[str, float]
    times: Dict[str, float]


@dataclass
class Part:
    """A pipeline with cameras of one size at a rate, in Hz; `name` is "at rate", "saturated" or "held"."""

    name: str
    pipeline: str
    size: Size
    rate: float
    turns: List[Turn] = field(default_factory=list)

    def times(self) -> Dict[str, float]:
        """Milliseconds that the node tells of its stages, the turns' median."""
        names = dict.fromkeys(name for turn in self.turns for name in turn.times)
        return {name: median(turn.times[name] for turn in self.turns if name in turn.times) for name in names}

    def to_dict(self) -> Numbers:
        """All turns together.

        lost_where: by the names in `interval.LOSSES`. latency: of the mask, or of the echo's image, in milliseconds;
        outputs: of each topic, with how many came per second; latencies: all of them. frames_per_second: answers, the
        turns' median. cores: CPU time of each process by time passed; processor_ms: CPU time of the pipeline's own
        process per answer.
        """
        intervals = [turn.interval for turn in self.turns]
        sent = sum(len(interval.sent) for interval in intervals)
        received = sum(len(interval.answers) for interval in intervals)
        lost_where: Counter[str] = Counter()  # `+` would drop counts below 0
        for interval in intervals:
            lost_where.update(interval.losses)
        latencies = {
            output: [latency for interval in intervals for latency in interval.latencies(output, skip=SKIPPED_SECONDS)]
            for output in intervals[0].outputs
        }
        answers = latencies[intervals[0].outputs[0]]
        rates = {
            output: round(median(interval.per_second(output, skip=SKIPPED_SECONDS) for interval in intervals), 2)
            for output in latencies
        }
        seconds = sum(turn.seconds for turn in self.turns)
        used = {name: sum(turn.cpu_seconds[name] for turn in self.turns) for name in self.turns[0].cpu_seconds}
        return {
            "part": self.name,
            "pipeline": self.pipeline,
            "size": size_text(self.size),
            "rate": round(self.rate, 3),
            "sent": sent,
            "received": received,
            "lost": sent - received,
            "lost_where": dict(lost_where),
            "repeated": sum(interval.repeated for interval in intervals),
            "latency": _percentiles(answers),
            "outputs": {output: _percentiles(values) for output, values in latencies.items()},
            "outputs_per_second": rates,
            "frames_per_second": rates[intervals[0].outputs[0]],
            "cores": {name: round(time / seconds, 3) for name, time in used.items()},
            "processor_ms": round(1000 * used[self.pipeline] / max(1, received), 2),
            "times": {name: round(milliseconds, 3) for name, milliseconds in self.times().items()},
            "latencies": [round(latency, 2) for latency in answers],
        }


def _percentiles(milliseconds: Sequence[float]) -> Optional[Dict[str, float]]:
    """The median, the 99th percentile and the maximum; None where nothing arrived."""
    if not milliseconds:
        return None
    p50, p99, highest = (round(float(value), 3) for value in np.percentile(milliseconds, (50, 99, 100)))
    return {"p50": p50, "p99": p99, "max": highest}
