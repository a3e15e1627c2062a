# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Says how a training run goes on after a frame that could be read when it began and cannot any more."""

from contextlib import contextmanager
from typing import Iterator

from bisenet_training.errors import DataError

OF_A_LOADER = "Caught DataError in DataLoader worker process"
"""How torch begins the message of an error of a loader process; the traceback follows, with our message at its end."""


@contextmanager
def explain_unreadable_frame(*, advice: str) -> Iterator[None]:
    """Raises DataError with the frame's problem in one line and what to do; `advice` is the latter."""
    try:
        yield
    except DataError as error:
        problem = str(error)
        if problem.startswith(OF_A_LOADER):
            problem = problem.rstrip().rpartition("DataError: ")[2]
        raise DataError(f"{problem}; fix it, and {advice}") from error
