# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors that a user can fix, and how commands end.

Exit codes beside these are 0 (all is well), 1 (an error), 2 (a wrong option), and those of one program alone: 4 of
`bisenet train` (the loss is not finite) and 75 of the node (node/restart.py).
"""

IMPERFECT = 3
"""All is done, but some of the input is missing or could not be used, which warnings name."""
INTERRUPTED = 130
"""Ctrl-C stopped it: what shells have for a program that SIGINT ends."""
TERMINATED = 143
"""SIGTERM stopped it, likewise."""
BROKEN_PIPE = 141
"""Nobody reads its output any more: what shells have for a program that SIGPIPE ends."""


class BisenetError(ValueError):
    """Bad input: the message says what was expected, what came and what to do.

    The `bisenet` command prints it in one line, and so it does OSError and ModuleNotFoundError of a package that is not
    installed. Any other exception is a bug, and its traceback is shown.
    """


class ImageError(BisenetError):
    """An image that cannot be read; the message says what was expected and what came.

    Attributes:
        reason: "encoding", "size", "step", "data", "format", "message" or "ignore_mask".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(reason, message)  # all arguments, so that it can be pickled
        self.reason = reason

    def __str__(self) -> str:
        return str(self.args[1])
