# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The pipelines that stay on the GPU: those of the frame sizes that were used last (an LRU cache)."""

from collections import OrderedDict
from contextlib import ExitStack, suppress
from typing import Callable, Dict, List, Sequence

import numpy as np

from bisenet_ros.engines.cuda.libcuda import fault_that_ends_the_process
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.engines.tensorrt.frame_pipeline import FramePipeline
from bisenet_ros.model.input_size import Size


class PipelineCache:
    """Makes a pipeline for each frame size and tail that is asked for, and closes those of the size used longest ago.

    Args:
        make: makes the pipeline of a frame size (height, width) and a tail.
        most_sizes: how many sizes stay, so that frames of many sizes do not fill the GPU's memory.

    Attributes:
        by_size: the pipelines by size and tail, those of the least recently used size first.
    """

    def __init__(self, make: Callable[[Size, str], FramePipeline], *, most_sizes: int) -> None:
        self._make = make
        self._most_sizes = most_sizes
        self.by_size: OrderedDict[Size, Dict[str, FramePipeline]] = OrderedDict()

    def get(self, size: Size, tail: str) -> FramePipeline:
        """The pipeline of a size and a tail, which is made where there is none."""
        pipelines = self.by_size.setdefault(size, {})
        self.by_size.move_to_end(size)
        while len(self.by_size) > self._most_sizes:
            self.drop(next(iter(self.by_size)))
        if tail not in pipelines:
            pipelines[tail] = self._make(size, tail)
        return pipelines[tail]

    def run(
        self, size: Size, tail: str, frames: Sequence[np.ndarray], *, confidence: bool = False
    ) -> List[Segmentation]:
        """Segments frames of a size; on failure its pipelines are closed, so that the next frame begins again."""
        try:
            return self.get(size, tail).run(frames, confidence=confidence)
        except Exception:
            # On a GPU that has failed, TensorRT's destructors could abort the process.
            if not fault_that_ends_the_process():
                with suppress(RuntimeError):
                    self.drop(size)
            raise

    def close_tail(self, size: Size, tail: str) -> None:
        """Closes one pipeline."""
        self.by_size[size].pop(tail).close()

    def close(self) -> None:
        """Closes all pipelines, whatever fails with one."""
        with ExitStack() as steps:
            for size in self.by_size:
                steps.callback(self.drop, size)

    def drop(self, size: Size) -> None:
        """Closes the pipelines of a size, each whatever fails with the other."""
        with ExitStack() as steps:
            for pipeline in self.by_size.pop(size, {}).values():
                steps.callback(pipeline.close)
