# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`make soak`: the node at full rate for long. Memory and latency must not grow, and SIGINT must end it cleanly."""

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import List, NamedTuple, Sequence, Set, Tuple

import psutil

from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.files.atomic_write import write_figure, write_json
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.node.benchmark.measurement import WARM_UP_RATE, drive, saturating_rate
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.driver.node_driver import NodeDriver

SHARED_MEMORY = Path("/dev/shm")
EXTRA_SECONDS = 60.0
"""The cameras would go on for so long, so that SIGINT meets the node at work."""
RECENT_MASKS = 100
"""Masks that a sample's latency is the median of; about as many as the node's own times are of."""
WARM_UP = 1 / 6
"""The part of the soak, at its beginning, that does not count."""
ERROR_WORDS = ("Traceback", "[ERROR]", "[FATAL]")


class Sample(NamedTuple):
    """The node at one moment: MB of memory, and milliseconds as medians over its last masks."""

    seconds: float
    resident: float
    masks: int
    latency_ms: float
    engine_ms: float
    wait_ms: float


class Check(NamedTuple):
    name: str
    measured: str
    holds: bool


def soak(
    scenario: Scenario, *, seconds: float, memory: float = 0.02, latency: float = 0.1
) -> Tuple[float, List[Sample], List[Check]]:
    """Runs the node with cameras faster than its engine: their rate in Hz, a sample of each second, and the checks.

    `memory` and `latency` are the parts by which the last quarter may differ from the first.
    """
    samples: List[Sample] = []
    files: Set[Tuple[Path, int]] = set()
    existing = shared_memory_files()
    with drive(scenario, "node") as driver:
        driver.warm_up(scenario.images(rate=WARM_UP_RATE, seconds=3.0))
        rate = saturating_rate(driver.diagnostics.milliseconds()["engine_p50_ms"], batches=scenario.cameras)
        interval = driver.start(scenario.images(rate=rate, seconds=seconds + EXTRA_SECONDS))
        for second in range(1, round(seconds) + 1):
            driver.wait_for_cameras(1.0)
            files |= mapped_files(driver.node.pid) | mapped_files(driver.cameras.pid)
            if interval.answers:
                samples.append(take_sample(driver, seconds=second))
        code = driver.node.interrupt()
        errors = [line for line in driver.node.lines if any(word in line for word in ERROR_WORDS)]
    left = ((files - existing) & shared_memory_files()) - files_in_use()
    leftovers = sorted(path.name for path, _ in left)
    checks = [
        *check_samples(samples, period_ms=1000 / rate, memory=memory, latency=latency),
        Check("SIGINT at full rate ends the node with exit code 0", f"exit code {code}", code == 0),
        Check("nothing is left in /dev/shm", ", ".join(leftovers) or "nothing", not leftovers),
        Check("the node reports no error", errors[0] if errors else "none", not errors),
    ]
    return rate, samples, checks


def take_sample(driver: NodeDriver, *, seconds: float) -> Sample:
    interval, times = driver.interval, driver.diagnostics.milliseconds()
    return Sample(
        seconds=seconds,
        resident=psutil.Process(driver.node.pid).memory_info().rss / 1e6,
        masks=len(interval.answers),
        latency_ms=median(interval.latencies()[-RECENT_MASKS:]),
        engine_ms=times["engine_p50_ms"],
        wait_ms=times["wait_p50_ms"],
    )


def shared_memory_files() -> Set[Tuple[Path, int]]:
    """The files in /dev/shm with their inodes: another process may make a new file of a name that became free."""
    return {(SHARED_MEMORY / entry.name, entry.inode()) for entry in os.scandir(SHARED_MEMORY)}


def mapped_files(pid: int) -> Set[Tuple[Path, int]]:
    """Fast DDS's files in /dev/shm that a process has mapped, with their inodes."""
    lines = (line.split(maxsplit=5) for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    files = {(Path(fields[5]), int(fields[4])) for fields in lines if fields[5:]}
    return {(path, inode) for path, inode in files if path.parent == SHARED_MEMORY and "fast" in path.name}


def files_in_use() -> Set[Tuple[Path, int]]:
    """Those that any process has mapped: nodes of other ROS domains share files for ports."""
    found: Set[Tuple[Path, int]] = set()
    for pid in psutil.pids():
        with suppress(OSError):  # it has ended, or is another user's
            found |= mapped_files(pid)
    return found


def check_samples(samples: Sequence[Sample], *, period_ms: float, memory: float, latency: float) -> List[Check]:
    """The medians of the last quarter against those of the first, after the warm-up."""
    counted = samples[round(WARM_UP * len(samples)) :]
    if len(counted) < 4:
        return [Check("there are enough samples", f"{len(counted)} after the warm-up", False)]
    quarter = len(counted) // 4
    first, last = (Sample(*map(median, zip(*part))) for part in (counted[:quarter], counted[-quarter:]))
    growth = last.resident / first.resident - 1
    # By engine time: other programs, which slow the engine too, are no drift. The wait has a check of its own.
    before, after = ((sample.latency_ms - sample.wait_ms) / sample.engine_ms for sample in (first, last))
    drift = after / before - 1
    resident = f"{100 * growth:+.2f} %: {first.resident:.1f} to {last.resident:.1f} MB"
    times = f"{100 * drift:+.1f} %: {before:.2f} to {after:.2f}"
    waits = f"{first.wait_ms:.1f}, at the end {last.wait_ms:.1f} ms"
    return [
        Check(f"resident memory changes by at most {100 * memory:g} %", resident, abs(growth) <= memory),
        Check(f"latency without wait by engine time grows by at most {100 * latency:g} %", times, drift <= latency),
        Check(f"frames wait no longer than the camera's {period_ms:.0f} ms", waits, last.wait_ms <= period_ms),
    ]


def write(folder: Path, rate: float, samples: Sequence[Sample], checks: Sequence[Check]) -> None:
    """Writes soak.json and soak.png."""
    from matplotlib.figure import Figure

    values = {"rate": rate, "checks": checks, "fields": Sample._fields, "samples": samples}
    write_json(folder / "soak.json", {**values, "machine": describe_machine()})
    figure = Figure(figsize=(13, 9), layout="constrained")
    units = {"MB": ["resident"], "masks": ["masks"], "ms": ["latency_ms", "engine_ms", "wait_ms"]}
    for axes, (unit, fields) in zip(figure.subplots(3, 1, sharex=True), units.items()):
        for field in fields:
            axes.plot([sample.seconds / 60 for sample in samples], [getattr(s, field) for s in samples], label=field)
        axes.set(ylabel=unit, xlabel="minutes", ylim=(0, None))
        axes.legend()
    figure.suptitle(f"segmentation_node, cameras at {rate:.1f} Hz")
    write_figure(folder / "soak.png", figure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bisenet_ros.node.benchmark.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("-o", "--output", type=Path, default=Path("soak_results"), metavar="FOLDER")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    scenario = Scenario(model=str(package_file(SHIPPED_MODEL)))
    rate, samples, checks = soak(scenario, seconds=60 * arguments.minutes)
    write(arguments.output, rate, samples, checks)
    for check in checks:
        print(f"{'holds' if check.holds else 'DOES NOT HOLD'}: {check.name}: {check.measured}")
    return 0 if all(check.holds for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
