"""A measurement as tables, as JSON and as Markdown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from bisenet_ros.benchmark.report import markdown_table
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.measurement import HELD_SHARE, SATURATION, TURN_SECONDS, Measurement
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.benchmark.summary import SKIPPED_SECONDS, Latency, Summary, summarize

COLUMNS = (
    *("pipeline", "part", "Hz sent", "sent", "lost", "where", "p50 ms", "p99", "max", "FPS", "CPU ms/frame"),
    *("cores: cameras", "pipeline ", "listener"),
)
FILES = ("node_benchmark.json", "node_benchmark.md", "node_benchmark.png")


@dataclass(frozen=True)
class Report:
    """Numbers, and all that they depend on.

    Attributes:
        rate: asked for, in Hz.
        engine: that the node used.
    """

    scenario: Scenario
    rate: float
    engine: str
    summaries: List[Summary]
    protocol: Dict[str, str]
    machine: Dict[str, str]

    @staticmethod
    def of(found: Measurement, *, machine: Dict[str, str], load: str) -> Report:
        """Args: load: the load average before the run, in words."""
        protocol = {**describe_protocol(found), "load average before": load}
        return Report(found.scenario, found.rate, found.engine, list(map(summarize, found.parts)), protocol, machine)

    def write(self, folder: Path) -> None:
        from bisenet_ros.node.benchmark.plot import draw_latencies

        (folder / FILES[0]).write_text(self.to_json())
        (folder / FILES[1]).write_text(self.to_markdown())
        frames = f"{size_text(self.scenario.size)} {self.scenario.encoding}"
        hardware = ", ".join(self.machine[part] for part in ("CPU", "cores") if part in self.machine)
        draw_latencies(
            self.summaries,
            folder / FILES[2],
            rate=self.rate,
            title=f"segmentation_node, {frames}, {self.engine}; {hardware}",
            note=f"load average before: {self.protocol['load average before']}",
        )

    def to_json(self) -> str:
        setup = {**asdict(self.scenario), "model": Path(self.scenario.model).name, "rate": self.rate}
        values: Dict[str, Any] = {
            "setup": {**setup, "engine_used": self.engine},
            "parts": [summary.to_dict() for summary in self.summaries],
            "protocol": self.protocol,
            "machine": self.machine,
        }
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        texts = [
            f"# segmentation_node: {size_text(self.scenario.size)} at {self.rate:g} Hz",
            f"{Path(self.scenario.model).name}; {self.engine}",
            markdown_table([COLUMNS, *map(_row, self.summaries)]),
        ]
        outputs = _output_rows(self.summaries)
        if outputs:
            texts += ["## By topic", markdown_table([("pipeline", "topic", "p50 ms", "p99", "max"), *outputs])]
        times = _time_rows(self.summaries)
        if times:
            texts += ["## Inside the node", markdown_table([("part", "stage", "p50 ms", "p99"), *times])]
        for title, facts in (("Protocol", self.protocol), ("Machine", self.machine)):
            texts += [f"## {title}", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
        return "\n\n".join(texts) + "\n"


def describe_protocol(found: Measurement) -> Dict[str, str]:
    """What every number of this run means."""
    scenario = found.scenario
    return {
        "cameras": f"{scenario.cameras}, {size_text(scenario.size)} {scenario.encoding}, triggered together, "
        f"{scenario.reliability.replace('_', ' ')}; in a process that does nothing else",
        "topics": ", ".join(scenario.outputs),
        "transport": "Fast DDS with this package's shared-memory profile, this machine only; each pipeline has a ROS "
        "domain, cameras and a listener of its own",
        "latency": "from the camera's publish call to the listener's callback, one monotonic clock; of the mask, or of "
        f"the echo's image; the first {SKIPPED_SECONDS:g} s of a turn do not count",
        "lost": "sent without an answer; to_the_node and from_the_node are DDS, the others the node's own reasons",
        "order": f"the pipelines take turns of {TURN_SECONDS:g} s; the cameras of the others are silent meanwhile",
        "at rate": f"{found.rate:g} Hz",
        "saturated": f"cameras {SATURATION:g} x as fast as the engine; FPS: the turns' median",
        "held": f"cameras at {100 * HELD_SHARE:.0f} % of the rate whose period the engine's p99 when saturated just "
        "fits",
        "echo": "a bare rclpy node that publishes the received image again",
        "plain": "a pipeline as commonly written: float conversion of the full frame in NumPy, the logits resized "
        "to the frame inside the graph, argmax in NumPy, in the callback; same model, network size, runtime, precision",
        "inside the node": "its diagnostics, over its last 300 frames; the turns' median",
        "cores": "CPU time of the process by time passed; CPU ms/frame: that of the pipeline's process by answer",
    }


def _row(summary: Summary) -> List[str]:
    where = ", ".join(f"{count} {place}" for place, count in summary.lost_where.items())
    return [
        *(summary.pipeline, summary.part, f"{summary.rate:.1f}", str(summary.sent), str(summary.lost), where or "-"),
        *_latency_cells(summary.latency),
        *(f"{summary.frames_per_second:.1f}", f"{summary.processor_ms:.1f}"),
        *(f"{summary.cores[name]:.2f}" for name in ("cameras", summary.pipeline, "listener")),
    ]


def _output_rows(summaries: Sequence[Summary]) -> List[List[str]]:
    """Where more than the mask is listened to."""
    return [
        [summary.pipeline, output, *_latency_cells(latency)]
        for summary in summaries
        if summary.part == "at rate" and len(summary.outputs) > 1
        for output, latency in summary.outputs.items()
    ]


def _time_rows(summaries: Sequence[Summary]) -> List[List[str]]:
    return [
        [summary.part, name[: -len("_p50_ms")], f"{value:.2f}", f"{summary.times[name.replace('p50', 'p99')]:.2f}"]
        for summary in summaries
        for name, value in summary.times.items()
        if name.endswith("_p50_ms")
    ]


def _latency_cells(latency: Optional[Latency]) -> List[str]:
    return [f"{value:.1f}" for value in (latency.p50, latency.p99, latency.max)] if latency else ["-"] * 3
