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
from typing import Any, Callable, Dict, List, Optional, Sequence

from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK, TensorRtError
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.model.input_size import Size, size_text

MEASURED_FRAMES = 30
WARM_UP_FRAMES = 5

logger = logging.getLogger(__name__)


def faster_tail(
    tails: Sequence[str],
    *,
    size: Size,
    kept_at: Path,
    prepare: Callable[[str], Any],
    run: Callable[[str], Any],
    close: Callable[[str], Any],
) -> str:
    """The faster end for frames of `size` (height, width), as it is kept, else as it is measured here.

    Args:
        prepare, run, close: build and load the plan to a tail, run it on a batch, and free it. The slower one is freed.
    """
    kept = read(kept_at)
    if kept:
        return kept
    usable = _usable_tails(tails, size, prepare)
    if len(usable) == 1:
        return usable[0]
    medians = _measure(tails, prepare, run)
    faster, slower = sorted(tails, key=medians.__getitem__)
    measured = ", ".join(f"{milliseconds:.3f} ms to {tail}" for tail, milliseconds in medians.items())
    logger.info("frames of %s by where their plan ends: %s", size_text(size), measured)
    close(slower)
    _keep(kept_at, faster, medians)
    return faster


def _usable_tails(tails: Sequence[str], size: Size, prepare: Callable[[str], Any]) -> List[str]:
    """The ends whose plans can be built and loaded, such as one alone where memory is short; raises if none can."""
    usable: List[str] = []
    for tail in tails:
        try:
            prepare(tail)
            usable.append(tail)
        except (TensorRtError, RuntimeError) as error:
            if tail == tails[-1] and not usable:
                raise
            logger.warning("frames of %s go without the plan to %s: %s", size_text(size), tail, error)
    return usable


def _measure(tails: Sequence[str], prepare: Callable[[str], Any], run: Callable[[str], Any]) -> Dict[str, float]:
    """The median milliseconds of `run` for each of the tails, which run in turn; `prepare` is not timed."""
    times: Dict[str, List[float]] = {tail: [] for tail in tails}
    for _ in range(WARM_UP_FRAMES + MEASURED_FRAMES):
        for tail in tails:
            prepare(tail)
            start = time.perf_counter()
            run(tail)
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
