"""The base class of the errors that a user can mend."""

from __future__ import annotations


class BisenetError(ValueError):
    """Bad input: the message says what was expected, what came and what to do.

    The `bisenet` command prints it in one line. Any other exception is a bug, and its traceback is shown.
    """
