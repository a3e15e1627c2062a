"""A soak as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

from bisenet_ros.node.benchmark.goals import Goal
from bisenet_ros.node.benchmark.soak.sample import Sample
from bisenet_ros.node.benchmark.soak.verdict import settled


def draw_soak(samples: Sequence[Sample], goals: Sequence[Goal], path: Path, *, title: str) -> None:
    """Memory, latency beside engine time, and masks per second, over minutes; the warm-up is shaded."""
    from matplotlib.figure import Figure

    minutes = [sample.seconds / 60 for sample in samples]
    figure = Figure(figsize=(13, 9), layout="constrained")
    memory, latency, rate = figure.subplots(3, 1, sharex=True)
    memory.plot(minutes, [sample.rss for sample in samples], label="resident (RSS)")
    memory.plot(minutes, [sample.pss for sample in samples], label="its share of shared pages (PSS)")
    memory.plot(minutes, [sample.private for sample in samples], label="private (USS)")
    memory.plot(minutes, [sample.shared_memory for sample in samples], label="mapped of /dev/shm")
    memory.set_ylabel("MB")
    latency.plot(
        minutes, [sample.latency_ms for sample in samples], linewidth=0.7, label="latency, each second's median"
    )
    latency.plot(minutes, [sample.window_ms for sample in samples], label="latency, median of the last masks")
    latency.plot(minutes, [sample.wait_ms for sample in samples], label="wait for the engine, median of them")
    latency.plot(minutes, [sample.engine_ms for sample in samples], label="engine, median of them")
    latency.set_ylabel("ms")
    rate.plot(minutes, [sample.masks for sample in samples], linewidth=0.7, label="masks per second")
    rate.set_ylabel("1/s")
    rate.set_xlabel("minutes")
    warm_up = settled(samples)[0].seconds / 60
    for axes in (memory, latency, rate):
        axes.set_ylim(bottom=0)
        axes.axvspan(0, warm_up, color="0.93")
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
    figure.suptitle(title, fontsize=11)
    figure.supxlabel("\n".join(f"{goal.goal}: {goal.verdict}, {goal.measured}" for goal in goals), fontsize=8)
    figure.savefig(path, dpi=100)
