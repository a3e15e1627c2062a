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

from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK
from bisenet_ros.files.atomic_write import write_json

MEASURED_FRAMES = 30
WARM_UP_FRAMES = 5

logger = logging.getLogger(__name__)


def measure(tails: Sequence[str], *, prepare: Callable[[str], Any], run: Callable[[str], Any]) -> Dict[str, float]:
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


def keep(path: Path, tail: str, milliseconds: Dict[str, float]) -> None:
    """Writes down the faster end."""
    try:
        write_json(path, {"tail": tail, "milliseconds": milliseconds, "kernel_sha256": _kernel_sha256()})
    except OSError as error:
        logger.warning("%s cannot be kept, and is measured again at the next start: %s", path, error)


def _kernel_sha256() -> str:
    source = pkgutil.get_data("bisenet_ros.engines.cuda", "mask_upsampling.cu")
    return hashlib.sha256(source or b"").hexdigest()
