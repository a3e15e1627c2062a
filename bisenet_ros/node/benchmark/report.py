"""The measurement as tables, as JSON and as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from bisenet_ros.benchmark.report import markdown_table
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.goals import Goal, judge
from bisenet_ros.node.benchmark.measurement import HELD_SHARE, SATURATION, SEGMENT, Measurement
from bisenet_ros.node.benchmark.segment import SETTLING
from bisenet_ros.node.benchmark.summary import Latency, Summary, summarize

COLUMNS = (
    "pipeline",
    "part",
    "Hz sent",
    "sent",
    "lost",
    "where",
    "p50 ms",
    "p99",
    "max",
    "FPS",
    "CPU ms/frame",
    "cores: cameras",
    "pipeline ",
    "listener",
)


@dataclass(frozen=True)
class Part:
    """One row: a pipeline in one part of the measurement."""

    name: str
    summary: Summary


@dataclass(frozen=True)
class Report:
    """Numbers, and all that they depend on."""

    measurement: Measurement
    parts: List[Part]
    goals: List[Goal]
    protocol: Dict[str, str]
    machine: Dict[str, str]

    @staticmethod
    def of(measurement: Measurement, *, machine: Dict[str, str], load: str) -> Report:
        parts = [
            *(Part("at rate", summarize(segments)) for segments in measurement.at_rate.values()),
            *(Part("saturated", summarize(segments)) for segments in measurement.saturated.values()),
            *([Part("held", summarize(measurement.held))] if measurement.held else []),
        ]
        protocol = {**describe_protocol(measurement), "load average before": load}
        return Report(measurement, parts, judge(measurement), protocol, machine)

    @property
    def engine(self) -> str:
        node = self.measurement.at_rate["node"][0].node
        return node.engine if node else ""

    def to_dict(self) -> Dict[str, Any]:
        setup = self.measurement.setup
        return {
            "setup": {
                **asdict(setup),
                "model": Path(setup.model).name,
                "rate": self.measurement.rate,
                "engine_used": self.engine,
            },
            "goals": [{**vars(goal), "verdict": goal.verdict} for goal in self.goals],
            "parts": [{"part": part.name, **part.summary.to_dict()} for part in self.parts],
            "protocol": self.protocol,
            "machine": self.machine,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        setup = self.measurement.setup
        texts = [
            f"# segmentation_node: {size_text(setup.size)} at {self.measurement.rate:g} Hz",
            f"{Path(setup.model).name}; {self.engine}",
            markdown_table([("goal", "measured", "verdict"), *((g.goal, g.measured, g.verdict) for g in self.goals)]),
            markdown_table([COLUMNS, *map(_row, self.parts)]),
        ]
        outputs = _output_rows(self.parts)
        if outputs:
            texts += ["## By topic", markdown_table([("pipeline", "topic", "p50 ms", "p99", "max"), *outputs])]
        times = _time_rows(self.parts)
        if times:
            texts += ["## Inside the node", markdown_table([("part", "stage", "p50 ms", "p99"), *times])]
        for title, facts in (("Protocol", self.protocol), ("Machine", self.machine)):
            texts += [f"## {title}", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
        return "\n\n".join(texts) + "\n"


def describe_protocol(found: Measurement) -> Dict[str, str]:
    """What every number of this run means."""
    setup = found.setup
    return {
        "cameras": f"{setup.cameras}, {size_text(setup.size)} {setup.encoding}, triggered together, "
        f"{setup.reliability.replace('_', ' ')}; a process that does nothing else",
        "topics": ", ".join(setup.outputs),
        "transport": "Fast DDS by this package's shared-memory profile, this machine only, a domain of its own",
        "latency": "from the camera's publish call to the listener's callback, one monotonic clock; of the mask, or of "
        f"the echo's image; the first {SETTLING:g} s of a segment do not count",
        "lost": "sent without an answer; to_the_node and from_the_node are DDS, the others the node's own reasons",
        "order": f"the pipelines take turns of {SEGMENT:g} s; the others then have no camera",
        "at rate": f"{found.rate:g} Hz",
        "saturated": f"cameras {SATURATION:g} x as fast as the engine; FPS: the segments' median; the node rather "
        "waits for a fresh frame than takes an old one, which costs it up to a fifth of its frames here",
        "held": f"cameras at {100 * HELD_SHARE:.0f} % of the rate whose period the engine's p99 when saturated just "
        "fits; an engine that takes longer loses frames",
        "echo": "a bare rclpy node that publishes the received message again",
        "plain": "a pipeline as people write it: float conversion of the full frame in NumPy, the logits resized to "
        "the frame inside the graph, argmax in NumPy, in the callback; same model, network size, runtime, precision",
        "inside the node": "its diagnostics, over its last 300 frames; the segments' median",
        "cores": "CPU time of the process by time passed; CPU ms/frame: that of the pipeline's process by answer",
    }


def _row(part: Part) -> List[str]:
    summary = part.summary
    where = ", ".join(f"{count} {place}" for place, count in summary.lost_where.items())
    return [
        summary.pipeline,
        part.name,
        f"{summary.rate:.1f}",
        str(summary.sent),
        str(summary.lost),
        where or "-",
        *_latency_cells(summary.latency),
        f"{summary.frames_per_second:.1f}",
        f"{summary.processor_ms:.1f}",
        *(f"{summary.cores[name]:.2f}" for name in ("cameras", summary.pipeline, "listener")),
    ]


def _output_rows(parts: Sequence[Part]) -> List[List[str]]:
    """Where more than the mask is listened to."""
    return [
        [part.summary.pipeline, output, *_latency_cells(latency)]
        for part in parts
        if part.name == "at rate" and len(part.summary.outputs) > 1
        for output, latency in part.summary.outputs.items()
    ]


def _time_rows(parts: Sequence[Part]) -> List[List[str]]:
    return [
        [part.name, name[: -len("_p50_ms")], f"{value:.2f}", f"{part.summary.times[name.replace('p50', 'p99')]:.2f}"]
        for part in parts
        for name, value in part.summary.times.items()
        if name.endswith("_p50_ms")
    ]


def _latency_cells(latency: Optional[Latency]) -> List[str]:
    return [f"{value:.1f}" for value in (latency.p50, latency.p99, latency.max)] if latency else ["-"] * 3
