# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Evaluates a bag of many small frames and tells how much memory that took: `python test/long_bag.py`."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import List

import cv2
import numpy as np
import psutil
from bag_workshop import BlueEngine, compressed, stamp, write_bag, write_model
from stub_evaluation import evaluate_stubbed

from bisenet_ros.evaluation.bag_evaluation import Request

TOPIC = "/camera/image_raw/compressed"
SIZE = (48, 64)
PATTERNS = 64
EVERY = 100
"""Frames between two looks at the memory."""


class WatchedEngine(BlueEngine):
    """Notes the memory of the process (bytes) now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.memory: List[int] = []

    def _segment(self, frame, *, confidence):
        if self.frames % EVERY == 0:
            self.memory.append(psutil.Process().memory_info().rss)
        return super()._segment(frame, confidence=confidence)


def write_long_bag(folder: Path, *, frames: int) -> Path:
    """JPEGs of 64 x 48 pixels of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (PATTERNS, *SIZE, 3), dtype=np.uint8)
    data = [cv2.imencode(".jpg", cv2.blur(pixels, (5, 5)))[1].tobytes() for pixels in noise]
    return write_bag(
        folder,
        count=frames,
        messages=lambda i: {TOPIC: compressed(data[i % PATTERNS], kind="jpeg", stamp_ns=stamp(i))},
    )


def evaluate_watched(bag: Path, output: Path) -> WatchedEngine:
    """The engine, with the memory that it saw, after the whole of `bisenet evaluate-bag`."""
    model = write_model(output.with_suffix(".onnx"))
    engine = WatchedEngine()
    request = Request(bags=[bag], model=model, output=output)
    assert evaluate_stubbed(request, make=lambda: engine).exit_code == 0
    return engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20000)
    frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as folder:
        bag = write_long_bag(Path(folder) / "bag", frames=frames)
        size = sum(file.stat().st_size for file in bag.iterdir())
        start = time.perf_counter()
        memory = np.array(evaluate_watched(bag, Path(folder) / "OUT").memory) / 2**20
        seconds = time.perf_counter() - start
        after = psutil.Process().memory_info().rss / 2**20
    tenth = len(memory) // 10
    print(f"{frames} frames, {size / 2**20:.0f} MiB, {seconds:.0f} s with the report")
    print(f"memory: {memory[tenth]:.0f} MiB after a tenth, {memory[-1]:.0f} at the end, {memory.max():.0f} at most")
    print(f"after the report: {after:.0f} MiB")


if __name__ == "__main__":
    main()
