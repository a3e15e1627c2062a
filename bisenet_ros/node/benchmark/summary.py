"""The numbers of a pipeline in one part of the measurement."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from bisenet_ros.node.benchmark.measurement import Part, Turn

SKIPPED_SECONDS = 0.5
"""At the beginning of a turn, whose latencies and answers do not count: caches still hold the other pipeline."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from publishing an image to the arrival of its answer."""

    p50: float
    p99: float
    max: float

    @staticmethod
    def of(milliseconds: Sequence[float]) -> Optional[Latency]:
        """None where nothing arrived."""
        if not milliseconds:
            return None
        return Latency(*(round(float(value), 3) for value in np.percentile(milliseconds, (50, 99, 100))))


@dataclass(frozen=True)
class Summary:
    """All turns together.

    Attributes:
        rate: that each camera was told to send at, in Hz.
        sent, received: frames and their answers, all cameras together.
        lost_where: where the others were lost, by the names in the driver's `outcomes.LOSSES`.
        latency: of the mask, or of the echo's image; by output in `outputs`.
        frames_per_second: answers, the turns' median.
        cores: CPU time of each process by time passed; 1 is a core fully used.
        processor_ms: CPU time of the pipeline's own process per answer.
        times: milliseconds that the node tells of its stages, such as engine_p50_ms, the turns' median.
        latencies: of all answers, in milliseconds.
    """

    part: str
    pipeline: str
    rate: float
    sent: int
    received: int
    repeated: int
    lost_where: Dict[str, int]
    latency: Optional[Latency]
    outputs: Dict[str, Optional[Latency]]
    frames_per_second: float
    cores: Dict[str, float]
    processor_ms: float
    times: Dict[str, float]
    latencies: List[float]

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def to_dict(self) -> Dict[str, Any]:
        return {
            **vars(self),
            "lost": self.lost,
            "latency": vars(self.latency) if self.latency else None,
            "outputs": {name: vars(latency) if latency else None for name, latency in self.outputs.items()},
            "latencies": [round(latency, 2) for latency in self.latencies],
        }


def summarize(part: Part) -> Summary:
    intervals = [turn.interval for turn in part.turns]
    received = sum(len(interval.answers) for interval in intervals)
    seconds = sum(interval.seconds for interval in intervals)
    used = {name: sum(turn.cpu_seconds[name] for turn in part.turns) for name in part.turns[0].cpu_seconds}
    latencies = {
        output: [latency for interval in intervals for latency in interval.latencies(output, skip=SKIPPED_SECONDS)]
        for output in intervals[0].outputs
    }
    answers = latencies[intervals[0].outputs[0]]
    rates = [interval.answers_per_second(skip=SKIPPED_SECONDS) for interval in intervals]
    return Summary(
        part=part.name,
        pipeline=part.pipeline,
        rate=round(part.rate, 3),
        sent=sum(len(interval.sent) for interval in intervals),
        received=received,
        repeated=sum(interval.repeated for interval in intervals),
        lost_where=dict(sum((Counter(interval.losses) for interval in intervals), Counter())),
        latency=Latency.of(answers),
        outputs={output: Latency.of(values) for output, values in latencies.items()},
        frames_per_second=round(float(np.median(rates)), 2),
        cores={name: round(time / seconds, 3) for name, time in used.items()},
        processor_ms=round(1000 * used[part.pipeline] / max(1, received), 2),
        times=_median_times(part.turns),
        latencies=answers,
    )


def _median_times(turns: Sequence[Turn]) -> Dict[str, float]:
    names = dict.fromkeys(name for turn in turns for name in turn.times)
    return {
        name: round(float(np.median([turn.times[name] for turn in turns if name in turn.times])), 3) for name in names
    }
