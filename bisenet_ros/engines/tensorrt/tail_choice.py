# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which end of a plan is faster on this GPU: the mask, or the logits, of which our own kernel makes the mask.

The answer is kept beside the plans, until the kernel changes.
"""

import hashlib
import json
import logging
import pkgutil
import statistics
import time
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np

from bisenet_ros.engines.cuda.libcuda import fault_that_ends_the_process
from bisenet_ros.engines.tensorrt.pipeline_cache import PipelineCache
from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK, TensorRtError
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.model.input_size import Size, size_text

MEASURED_FRAMES = 30
WARM_UP_FRAMES = 5

logger = logging.getLogger(__name__)


def faster_tail(pipelines: PipelineCache, tails: Sequence[str], *, frames: Sequence[np.ndarray], kept_at: Path) -> str:
    """The faster end for frames of a size, as it is kept, else as it is measured here; the slower pipeline is closed.

    Where the plan to one of them cannot be had, it is the other, which is not kept.

    Args:
        frames: a batch to measure with.
    """
    kept, size = read(kept_at), (frames[0].shape[0], frames[0].shape[1])
    if kept:
        return next(_usable_tails(pipelines, sorted(tails, key=lambda tail: tail != kept), size))
    usable = list(_usable_tails(pipelines, tails, size))
    if len(usable) == 1:
        return usable[0]
    medians = _measure(pipelines, tails, size, frames)
    faster, slower = sorted(tails, key=medians.__getitem__)
    measured = ", ".join(f"{milliseconds:.3f} ms to {tail}" for tail, milliseconds in medians.items())
    logger.info("frames of %s by where their plan ends: %s", size_text(size), measured)
    pipelines.close_tail(size, slower)
    _keep(kept_at, faster, medians)
    return faster


def _usable_tails(pipelines: PipelineCache, tails: Sequence[str], size: Size) -> Iterator[str]:
    """The ends whose plans can be built and loaded, such as one alone where memory is short; raises if none can."""
    found = False
    for tail in tails:
        try:
            pipelines.get(size, tail)
        except (TensorRtError, RuntimeError) as error:
            if fault_that_ends_the_process() or (tail == tails[-1] and not found):
                raise
            logger.warning("frames of %s go without the plan to %s: %s", size_text(size), tail, error)
        else:
            found = True
            yield tail


def _measure(
    pipelines: PipelineCache, tails: Sequence[str], size: Size, frames: Sequence[np.ndarray]
) -> Dict[str, float]:
    """The median milliseconds of a batch for each of the tails, which run in turn."""
    times: Dict[str, List[float]] = {tail: [] for tail in tails}
    for _ in range(WARM_UP_FRAMES + MEASURED_FRAMES):
        for tail in tails:
            pipelines.get(size, tail)  # is not timed
            start = time.perf_counter()
            pipelines.run(size, tail, frames)
            times[tail].append(1000 * (time.perf_counter() - start))
    return {tail: statistics.median(times[tail][WARM_UP_FRAMES:]) for tail in tails}


def read(path: Path) -> Optional[str]:
    """The faster end as it was measured before; None if that cannot be read, or was of another kernel."""
    try:
        found = json.loads(path.read_text())
        tail, kernel = found["tail"], found["kernel_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tail if tail in (MASK, LOGITS) and kernel == _kernel_sha256() else None


def _keep(path: Path, tail: str, milliseconds: Dict[str, float]) -> None:
    """Writes down the faster end."""
    try:
        write_json(path, {"tail": tail, "milliseconds": milliseconds, "kernel_sha256": _kernel_sha256()})
    except OSError as error:
        logger.warning("%s cannot be kept, and is measured again at the next start: %s", path, error)


def _kernel_sha256() -> str:
    source = pkgutil.get_data("bisenet_ros.engines.cuda", "mask_upsampling.cu")
    return hashlib.sha256(source or b"").hexdigest()
