"""A measurement of the node as JSON, as Markdown and as a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence

from bisenet_ros.benchmark.report import markdown_table
from bisenet_ros.files.atomic_write import write_json, write_text
from bisenet_ros.model.input_size import size_text
from bisenet_ros.node.benchmark.part import Numbers

COLUMNS = (
    *("pipeline", "part", "Hz sent", "sent", "lost", "where", "p50 ms", "p99", "max", "FPS", "CPU ms/frame"),
    *("cores: cameras", "pipeline ", "listener"),
)


def write_report(folder: Path, numbers: Numbers) -> None:
    """Writes node_benchmark.json, node_benchmark.md and node_benchmark.png.

    Args:
        numbers: what `measure` returns.
    """
    from bisenet_ros.node.benchmark.plot import draw_latencies  # here: the tables need no matplotlib

    write_json(folder / "node_benchmark.json", numbers)
    write_text(folder / "node_benchmark.md", to_markdown(numbers))
    draw_latencies(numbers).savefig(folder / "node_benchmark.png", dpi=100)


def to_markdown(numbers: Numbers) -> str:
    setup, parts = numbers["setup"], numbers["parts"]
    texts = [
        f"# segmentation_node: {size_text(setup['size'])} at {setup['rate']:g} Hz",
        f"{setup['model']}; {setup['engine_used']}",
        markdown_table([COLUMNS, *map(_row, parts)]),
    ]
    if len(setup["outputs"]) > 1:
        outputs = [
            (part["pipeline"], output, *_latency_cells(latency))
            for part in parts
            if part["part"] == "at rate"
            for output, latency in part["outputs"].items()
        ]
        texts += ["## By topic", markdown_table([("pipeline", "topic", "p50 ms", "p99", "max"), *outputs])]
    times = [row for part in parts for row in _time_rows(part)]
    texts += ["## Inside the node", markdown_table([("part", "stage", "p50 ms", "p99"), *times])]
    for title in ("protocol", "machine"):
        facts = (f"- {name}: {value}" for name, value in numbers[title].items())
        texts += [f"## {title.capitalize()}", "\n".join(facts)]
    return "\n\n".join(texts) + "\n"


def _row(part: Numbers) -> List[str]:
    where = ", ".join(f"{count} {place}" for place, count in part["lost_where"].items())
    return [
        *(part["pipeline"], part["part"], f"{part['rate']:.1f}", str(part["sent"]), str(part["lost"]), where or "-"),
        *_latency_cells(part["latency"]),
        *(f"{part['frames_per_second']:.1f}", f"{part['processor_ms']:.1f}"),
        *(f"{part['cores'][name]:.2f}" for name in ("cameras", part["pipeline"], "listener")),
    ]


def _latency_cells(latency: Optional[Dict[str, float]]) -> List[str]:
    return [f"{latency[key]:.1f}" if latency else "-" for key in ("p50", "p99", "max")]


def _time_rows(part: Numbers) -> List[Sequence[str]]:
    times = part["times"]
    stages = [name[: -len("_p50_ms")] for name in times if name.endswith("_p50_ms")]
    return [
        (part["part"], stage, f"{times[f'{stage}_p50_ms']:.2f}", f"{times[f'{stage}_p99_ms']:.2f}") for stage in stages
    ]
