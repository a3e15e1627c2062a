"""What is said of an image that cannot be read."""

from __future__ import annotations


class ImageError(ValueError):
    """An image that cannot be read; the message says what was expected and what came.

    Attributes:
        reason: "encoding", "size", "step", "data" or "format".
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
