"""The segments of one pipeline at one rate, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from bisenet_ros.node.benchmark.measurement import median_of
from bisenet_ros.node.benchmark.segment import Segment


@dataclass(frozen=True)
class Latency:
    """Milliseconds from publishing a frame to the arrival of its answer."""

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
    """All segments of a pipeline at one rate together.

    Attributes:
        rate: that the cameras were told to send at, in Hz each.
        sent, received: frames and their answers, all cameras together.
        lost_where: where the others stayed.
        latency: of the mask, or of the echo's image; by output in `outputs`.
        frames_per_second: answers, median of the segments.
        cores: CPU time of each process, 1 being a core fully used.
        processor_ms: CPU time of the pipeline's own process per answer.
        times: the node's own: milliseconds by stage, such as engine_p50_ms, median of the segments.
    """

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
        values = dict(vars(self), lost=self.lost)
        values["latency"] = vars(self.latency) if self.latency else None
        values["outputs"] = {name: vars(latency) if latency else None for name, latency in self.outputs.items()}
        values["latencies"] = [round(latency, 2) for latency in self.latencies]
        return values


def summarize(segments: Sequence[Segment]) -> Summary:
    first = segments[0]
    received = sum(len(segment.answers) for segment in segments)
    seconds = sum(segment.seconds for segment in segments)
    used = {name: sum(segment.processor[name] for segment in segments) for name in first.processor}
    pooled = {
        output: [latency for segment in segments for latency in segment.latencies(output)] for output in first.outputs
    }
    latencies = pooled[first.outputs[0]]
    return Summary(
        pipeline=first.pipeline,
        rate=round(first.rate, 3),
        sent=sum(len(segment.sent) for segment in segments),
        received=received,
        repeated=sum(segment.repeated for segment in segments),
        lost_where=dict(sum((Counter(segment.lost_where) for segment in segments), Counter())),
        latency=Latency.of(latencies),
        outputs={output: Latency.of(values) for output, values in pooled.items()},
        frames_per_second=round(median_of(segments, lambda segment: segment.frames_per_second), 2),
        cores={name: round(time / seconds, 3) for name, time in used.items()},
        processor_ms=round(1000 * used[first.pipeline] / max(1, received), 2),
        times=_median_times(segments),
        latencies=latencies,
    )


def _median_times(segments: Sequence[Segment]) -> Dict[str, float]:
    known = [segment.node.times for segment in segments if segment.node]
    names = dict.fromkeys(name for times in known for name in times)
    return {name: round(float(np.median([times[name] for times in known if name in times])), 3) for name in names}
