"""An exception as one line of text, for the log and for /diagnostics."""

from rclpy.exceptions import InvalidParameterTypeException, ParameterException

from bisenet_ros.errors import BisenetError

USER_ERRORS = (BisenetError, ParameterException, OSError, ModuleNotFoundError)
"""Errors that a user can mend, in the parameters, the model or the installation."""


def error_text(error: BaseException) -> str:
    """The error's message in one line; errors that a user cannot mend also have their type's name."""
    text = " ".join(str(error).split())
    if isinstance(error, InvalidParameterTypeException):
        return text.rpartition(": ")[0] or text  # rclpy appends the parameter's name once more
    return text if isinstance(error, USER_ERRORS) else f"{type(error).__name__}: {text}"
