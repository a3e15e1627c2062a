# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT's messages in Python's `logging`, and its last errors for an exception's message."""

import logging
from collections import deque
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Deque, Iterator, Set

logger = logging.getLogger(__name__)


@lru_cache(maxsize=None)
def log_of(trt: Any) -> Any:
    """The logger of a TensorRT module; there is one, as TensorRT uses the first it is given until the process ends."""
    levels = {
        trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
        trt.ILogger.Severity.ERROR: logging.ERROR,
        trt.ILogger.Severity.WARNING: logging.WARNING,
        trt.ILogger.Severity.INFO: logging.DEBUG,
    }

    class Log(trt.ILogger):
        """Passes TensorRT's messages on to `logging`, and keeps the last errors for an exception's message."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: Deque[str] = deque(maxlen=3)
            self._warnings: Set[str] = set()
            self._errors_expected = False

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity)
            if level is None:
                return  # tens of thousands of lines
            if level == logging.ERROR and self._errors_expected:
                level = logging.DEBUG
            if level == logging.ERROR:
                self.errors.append(message.strip())
            if level == logging.WARNING:
                if message in self._warnings:
                    return  # TensorRT for RTX gives the same two for every int8 layer
                self._warnings.add(message)
            logger.log(level, "%s: %s", trt.__name__, message)

        @contextmanager
        def expected_errors(self) -> Iterator[None]:
            """Until it is left, errors are logged as details: the caller says what they mean."""
            self._errors_expected = True
            try:
                yield
            finally:
                self._errors_expected = False

        def reason(self) -> str:
            return "; ".join(self.errors) or "it gives no reason"

    return Log()
